/*
 * log_limit_test.c - one line of a kind in a second, with the number of those that were withheld.
 */
#define _GNU_SOURCE
#include "log_limit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "clock.h"
#include "log.h"

static uint64_t now_us;
static char last_line[1024];
static int lines;

/* These take the place of common/clock.c and common/log.c. */
uint64_t
clock_us(void)
{
	return now_us;
}

void
log_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last_line, sizeof last_line, format, args);
	va_end(args);
	lines++;
	errno = EIO;
}

static void
test_allows_one_a_second(void **state)
{
	struct log_limit limit = { 0 };
	uint64_t suppressed = 99;

	(void)state;
	assert_true(log_limit_allows(&limit, 5000000, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_false(log_limit_allows(&limit, 5000000, &suppressed));
	assert_false(log_limit_allows(&limit, 5999999, &suppressed));
	assert_true(log_limit_allows(&limit, 6000000, &suppressed));
	assert_int_equal(suppressed, 2);
	assert_false(log_limit_allows(&limit, 6500000, &suppressed));
	assert_true(log_limit_allows(&limit, 9000000, &suppressed));
	assert_int_equal(suppressed, 1);
	assert_true(log_limit_allows(&limit, 11000000, &suppressed));
	assert_int_equal(suppressed, 0);
}

static void
test_kinds_are_apart(void **state)
{
	struct log_limit one = { 0 }, other = { 0 };
	uint64_t suppressed;

	(void)state;
	assert_true(log_limit_allows(&one, 1, &suppressed));
	assert_true(log_limit_allows(&other, 1, &suppressed));
	assert_false(log_limit_allows(&one, 2, &suppressed));
}

static void
test_warns_with_the_number(void **state)
{
	struct log_limit limit = { 0 };

	(void)state;
	lines = 0;
	now_us = 7000000;
	errno = EMFILE;
	log_limit_warn(&limit, "run %d: pipe: %s", 3, strerror(errno));
	assert_int_equal(errno, EMFILE);
	assert_string_equal(last_line, "run 3: pipe: Too many open files");
	for (int i = 0; i < 1000; i++)
		log_limit_warn(&limit, "run %d", i);
	assert_int_equal(lines, 1);
	now_us = 8000001;
	log_limit_warn(&limit, "run %d", 4);
	assert_int_equal(lines, 2);
	assert_string_equal(last_line, "run 4 (1000 more like this were not logged)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allows_one_a_second),
		cmocka_unit_test(test_kinds_are_apart),
		cmocka_unit_test(test_warns_with_the_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
