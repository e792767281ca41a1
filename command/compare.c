/* compare.c - see compare.h. */
#include "compare.h"

#include <stdbool.h>
#include <string.h>

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The size of a text without the blanks and line breaks at its end. */
static size_t
trim(const char *text, size_t size)
{
	while (size > 0 && (is_blank(text[size - 1]) || text[size - 1] == '\n'))
		size--;
	return size;
}

/* Take the next line from a text. */
static struct difference_text
next_line(const char **text, size_t *size)
{
	struct difference_text line = { .bytes = NULL };
	const char *end;
	size_t taken;

	if (*size == 0)
		return line;
	end = memchr(*text, '\n', *size);
	taken = end != NULL ? (size_t)(end + 1 - *text) : *size;
	line.bytes = *text;
	line.size = end != NULL ? taken - 1 : taken;
	while (line.size > 0 && is_blank(line.bytes[line.size - 1]))
		line.size--;
	*text += taken;
	*size -= taken;
	return line;
}

int
compare_lines(const char *expected, size_t expected_size, const char *actual, size_t actual_size, struct difference *difference)
{
	*difference = (struct difference){ 0 };
	expected_size = trim(expected, expected_size);
	actual_size = trim(actual, actual_size);
	while (expected_size > 0 || actual_size > 0) {
		difference->line++;
		difference->expected = next_line(&expected, &expected_size);
		difference->actual = next_line(&actual, &actual_size);
		if (difference->expected.bytes == NULL || difference->actual.bytes == NULL ||
		    difference->expected.size != difference->actual.size ||
		    memcmp(difference->expected.bytes, difference->actual.bytes, difference->expected.size) != 0)
			return -1;
	}
	return 0;
}
