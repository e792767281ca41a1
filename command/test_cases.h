/* test_cases.h - the tests of a directory: NAME.in, with NAME.out or NAME.ans. */
#ifndef CELLBLOCK_TEST_CASES_H
#define CELLBLOCK_TEST_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include "compare.h"
#include "contents.h"

struct json_object;

struct test_case {
	char *name;
	struct contents input, answer;
	/* After the run: */
	bool is_done;
	const char *verdict;
	struct json_object *data;     /* of the answer; NULL: there is none */
	struct difference difference; /* of a wrong answer; points into `data` and `answer` */
	char *message;                /* of a service that has not run it */
	int exit_code;                /* the same; 0: it has run it */
};

/*
 * Read the tests, in the order of their names, with numbers in the order of their values. Exits
 * with a line if the directory has none, or an input without an answer. An answer without an input
 * is a test with an empty one. `source`: gets the path of the one file that is neither, for free();
 * NULL if that is not asked for.
 */
struct test_case *test_cases_read(const char *directory, size_t *count, char **source);
void test_cases_free(struct test_case *cases, size_t count);

#endif
