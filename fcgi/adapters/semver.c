/* semver.c - see semver.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "adapters/semver.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PART_MAX 999999999u

/* A version of which the end may be missing: `count` parts are there. */
struct partial {
	struct semver version;
	int count;
};

/* A range between two versions: low <= version < high. */
struct bounds {
	struct semver low, high;
};

static const struct semver least = { { 0, 0, 0 } }, most = { { UINT32_MAX, UINT32_MAX, UINT32_MAX } };

/* Read a number. Returns the place after it, or NULL if it is too large. */
static const char *
take_part(const char *text, uint32_t *part)
{
	*part = 0;
	for (; isdigit((unsigned char)*text); text++) {
		*part = *part * 10 + (uint32_t)(*text - '0');
		if (*part > PART_MAX)
			return NULL;
	}
	return text;
}

void
semver_take(const char *text, struct semver *version)
{
	*version = least;
	text += strcspn(text, "0123456789");
	for (int i = 0; i < 3 && isdigit((unsigned char)*text); i++) {
		text = take_part(text, &version->part[i]);
		if (text == NULL) {
			*version = least;
			return;
		}
		if (*text != '.')
			return;
		text++;
	}
}

void
semver_print(const struct semver *version, char *text)
{
	snprintf(text, SEMVER_TEXT_SIZE, "%" PRIu32 ".%" PRIu32 ".%" PRIu32, version->part[0], version->part[1],
	    version->part[2]);
}

int
semver_compare(const struct semver *a, const struct semver *b)
{
	for (int i = 0; i < 3; i++) {
		if (a->part[i] != b->part[i])
			return a->part[i] < b->part[i] ? -1 : 1;
	}
	return 0;
}

/* Read "v1.2.x". Returns the place after it, or NULL if it is malformed. */
static const char *
take_partial(const char *text, struct partial *partial)
{
	bool is_open = false;

	*partial = (struct partial){ least, 0 };
	if (*text == 'v' || *text == '=')
		text++;
	for (int i = 0; i < 3; i++) {
		if (*text == '*' || *text == 'x' || *text == 'X') {
			is_open = true;
			text++;
		} else if (isdigit((unsigned char)*text)) {
			text = take_part(text, &partial->version.part[i]);
			if (text == NULL)
				return NULL;
			if (is_open)
				partial->version.part[i] = 0;
			else
				partial->count = i + 1;
		} else {
			return NULL;
		}
		if (*text != '.')
			break;
		if (i < 2)
			text++;
	}
	/* The build does not count. */
	if (*text == '+')
		text += strspn(text, "+.-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	return *text == '\0' || isspace((unsigned char)*text) ? text : NULL;
}

/* The first version after all that have the same first `count` parts. */
static struct semver
after(const struct semver *version, int count)
{
	struct semver next = least;

	if (count == 0)
		return most;
	for (int i = 0; i < count; i++)
		next.part[i] = version->part[i];
	next.part[count - 1]++;
	return next;
}

/* The parts that "^" holds fixed: up to the first one that is not 0. */
static int
fixed_parts(const struct partial *partial)
{
	for (int i = 0; i < partial->count; i++) {
		if (partial->version.part[i] != 0)
			return i + 1;
	}
	return partial->count;
}

/* The bounds of one comparator: `operation` is its sign, and `or_equal` says that "=" follows. */
static struct bounds
bounds_of(char operation, bool or_equal, const struct partial *partial)
{
	struct semver next = after(&partial->version, partial->count);
	struct bounds none = { most, least };

	switch (operation) {
	case '>':
		if (!or_equal && partial->count == 0)
			return none;
		return (struct bounds){ or_equal ? partial->version : next, most };
	case '<':
		if (!or_equal && partial->count == 0)
			return none;
		return (struct bounds){ least, or_equal ? next : partial->version };
	case '^':
		return (struct bounds){ partial->version, after(&partial->version, fixed_parts(partial)) };
	case '~':
		return (struct bounds){ partial->version, after(&partial->version, partial->count > 2 ? 2 : partial->count) };
	default:
		return (struct bounds){ partial->version, next };
	}
}

static const char *
skip_spaces(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static bool
is_within(const struct semver *version, const struct bounds *bounds)
{
	return semver_compare(version, &bounds->low) >= 0 && semver_compare(version, &bounds->high) < 0;
}

/* Read one comparator, or "1.2 - 1.4". Returns the place after it, or NULL if it is malformed. */
static const char *
take_comparator(const char *text, struct bounds *bounds)
{
	struct partial partial, last;
	char operation = '=';
	bool or_equal = false;
	const char *next;

	if (strchr("<>^~", *text) != NULL) {
		operation = *text++;
		or_equal = *text == '=' && (operation == '<' || operation == '>');
		text += or_equal || (operation == '~' && *text == '>');
		text = skip_spaces(text);
	}
	text = take_partial(text, &partial);
	if (text == NULL)
		return NULL;
	*bounds = bounds_of(operation, or_equal, &partial);
	next = skip_spaces(text);
	if (operation != '=' || next[0] != '-' || !isspace((unsigned char)next[1]))
		return text;
	next = take_partial(skip_spaces(next + 1), &last);
	if (next != NULL)
		*bounds = (struct bounds){ partial.version, after(&last.version, last.count) };
	return next;
}

/* Whether the version is in a part of a range without "||". */
static bool
is_in_part(const struct semver *version, const char *part)
{
	bool is_in = true;

	for (part = skip_spaces(part); *part != '\0'; part = skip_spaces(part)) {
		struct bounds bounds;

		part = take_comparator(part, &bounds);
		if (part == NULL)
			return false;
		is_in = is_in && is_within(version, &bounds);
	}
	return is_in;
}

bool
semver_is_in(const struct semver *version, const char *range)
{
	char part[128];

	for (;;) {
		const char *end = strstr(range, "||");
		size_t length = end != NULL ? (size_t)(end - range) : strlen(range);

		/* No range of a person is longer. */
		if (length >= sizeof part)
			return false;
		memcpy(part, range, length);
		part[length] = '\0';
		if (is_in_part(version, part))
			return true;
		if (end == NULL)
			return false;
		range = end + 2;
	}
}
