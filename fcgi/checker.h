/*
 * checker.h - compares the output of a program with the answer of a test.
 *
 * Both are untrusted: the output comes from a guest, the answer from a client. The time that a
 * comparison takes is bounded by their sizes, whatever they contain. No input or output, no state.
 */
#ifndef CELLBLOCK_CHECKER_H
#define CELLBLOCK_CHECKER_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define CHECKER_LINES_MOST 1000000 /* of an answer whose lines may come in any order */
#define CHECKER_TOLERANCE 1e-6     /* of numbers, absolute and relative, unless a request says otherwise */

enum checker_kind {
	CHECKER_EXACT,           /* byte by byte */
	CHECKER_LINES,           /* blanks at the ends of lines, and empty lines at the end, do not count */
	CHECKER_TOKENS,          /* words between blanks and line breaks */
	CHECKER_FLOATS,          /* the same; words that are numbers may differ by a tolerance */
	CHECKER_UNORDERED_LINES, /* as CHECKER_LINES; the lines may come in any order */
	CHECKER_REGEX,           /* the answer is a pattern (checker_regex.h) for the whole output */
	CHECKER_KINDS
};

struct checker {
	enum checker_kind kind;
	double absolute, relative; /* CHECKER_FLOATS: a number may differ by either */
};

enum check {
	CHECK_ACCEPTED,
	CHECK_WRONG,
	CHECK_PRESENTATION, /* only blanks, line breaks or their places differ */
	CHECK_FAILED,       /* nothing can be said about the output: no memory, or a pattern that takes too long */
};

/* Where the output differs first. The texts are parts of what was compared. */
struct check_difference {
	bool is_known;
	size_t line, column;       /* in the output, from 1; the column in bytes */
	struct text expected, got; /* what should be there, and what is */
};

/* The names of the checkers in a request, by their kinds. */
extern const char *const checker_names[CHECKER_KINDS];

/*
 * Compare an output with an answer. Sets *difference; if the outcome is CHECK_ACCEPTED or
 * CHECK_FAILED it is not known.
 */
enum check checker_compare(const struct checker *checker, const struct text *answer, const struct text *output,
    struct check_difference *difference);

/*
 * Whether an answer suits its checker. Returns NULL, or what is wrong with it, in static memory.
 */
const char *checker_fault(const struct checker *checker, const struct text *answer);

#endif
