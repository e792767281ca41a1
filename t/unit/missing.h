/*
 * missing.h - skips a unit test on a machine that lacks a feature. Included after cmocka.h, whose
 * skip() is "not ok" as TAP.
 */
#ifndef CELLBLOCK_MISSING_H
#define CELLBLOCK_MISSING_H

#include <stdbool.h>
#include <stdlib.h>

/*
 * Whether the feature is missing: then print which, and the test returns. With CELLBLOCK_MUST_WORK
 * set, the test fails instead.
 */
static inline bool
missing(bool is_missing, const char *feature)
{
	if (!is_missing)
		return false;
	print_message("# skipped: %s\n", feature);
	assert_null(getenv("CELLBLOCK_MUST_WORK"));
	return true;
}

#endif
