/* compare.h - compares an output with an answer: blanks at the ends of lines do not count. */
#ifndef CELLBLOCK_COMPARE_H
#define CELLBLOCK_COMPARE_H

#include <stddef.h>

/* Where an output first differs. The texts point into those that were compared. */
struct difference {
	size_t line; /* from 1 */
	struct difference_text {
		const char *bytes; /* NULL: the text has no such line */
		size_t size;       /* without blanks at the end */
	} expected, actual;
};

/*
 * Compare line by line, without the blanks (space, tab, carriage return) at the end of each line
 * and the empty lines at the end of the text. Returns 0 if both are the same, else -1 with
 * `difference`.
 */
int compare_lines(const char *expected, size_t expected_size, const char *actual, size_t actual_size,
    struct difference *difference);

#endif
