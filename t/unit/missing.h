/* missing.h - what a unit test does where the machine lacks something. Included after cmocka.h, whose skip() is "not ok" as TAP. */
#ifndef CELLBLOCK_MISSING_H
#define CELLBLOCK_MISSING_H

#include <stdbool.h>
#include <stdlib.h>

/* If so, says what; the test is to return. It has failed instead if CELLBLOCK_MUST_WORK is set. */
static inline bool
missing(bool is_missing, const char *what)
{
	if (!is_missing)
		return false;
	print_message("# skipped: %s\n", what);
	assert_null(getenv("CELLBLOCK_MUST_WORK"));
	return true;
}

#endif
