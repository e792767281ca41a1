/* units.c - see units.h. */
#include "units.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct unit {
	const char *name;
	uint64_t size;
};

static const struct unit times[] = { { "d", 86400000 }, { "h", 3600000 }, { "min", 60000 }, { "s", 1000 } };
static const struct unit sizes[] = { { "TiB", UINT64_C(1) << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 } };

static bool
ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

bool
units_of_limit(const char *name, uint64_t value, char *text)
{
	const struct unit *units = ends_with(name, "_ms") ? times : ends_with(name, "_bytes") ? sizes : NULL;
	size_t i = 0;

	text[0] = '\0';
	if (units == NULL)
		return false;
	_Static_assert(LENGTH(times) == LENGTH(sizes), "one loop for both");
	while (i < LENGTH(sizes) && value < units[i].size)
		i++;
	/* The next smaller unit, if this one would hide too much: 90 s and not 1.5 min. */
	while (i + 1 < LENGTH(sizes) && value % units[i].size != 0 && value / units[i].size < 10)
		i++;
	if (i == LENGTH(sizes))
		return false;
	snprintf(text, UNITS_TEXT_SIZE, value % units[i].size == 0 ? "%.0f %s" : "%.1f %s", (double)value / (double)units[i].size,
	    units[i].name);
	return true;
}
