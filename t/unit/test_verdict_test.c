/* test_verdict_test.c - the verdict on a test, and whose fault it is, from how its run ended. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "test_verdict.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void
test_runs(void **state)
{
	static const struct {
		struct run_result result;
		int exit_code;
		enum test_verdict verdict;
		enum fault fault;
	} rows[] = {
		{ { .verdict = VERDICT_OK }, 0, TEST_ACCEPTED, FAULT_NONE },
		{ { .verdict = VERDICT_OK }, 1, TEST_RUNTIME_ERROR, FAULT_PROGRAM },
		{ { .verdict = VERDICT_EXIT, .exit_code = 3 }, 3, TEST_ACCEPTED, FAULT_NONE },
		{ { .verdict = VERDICT_EXIT, .exit_code = 3 }, 0, TEST_RUNTIME_ERROR, FAULT_PROGRAM },
		{ { .verdict = VERDICT_SIGNAL, .exit_code = -1, .signal = 11 }, 0, TEST_RUNTIME_ERROR, FAULT_PROGRAM },
		{ { .verdict = VERDICT_TIMEOUT, .exit_code = -1 }, 0, TEST_TIME_LIMIT, FAULT_LIMIT },
		/* It had to wait too long for that to say anything about it. */
		{ { .verdict = VERDICT_TIMEOUT, .exit_code = -1, .was_starved = 1 }, 0, TEST_SERVICE_FAULT, FAULT_SERVICE },
		{ { .verdict = VERDICT_CPU_LIMIT, .exit_code = -1 }, 0, TEST_TIME_LIMIT, FAULT_LIMIT },
		/* It was quicker than the look at its time. */
		{ { .verdict = VERDICT_OK, .cpu_us = 1000001 }, 0, TEST_TIME_LIMIT, FAULT_LIMIT },
		{ { .verdict = VERDICT_OK, .cpu_us = 1000000 }, 0, TEST_ACCEPTED, FAULT_NONE },
		{ { .verdict = VERDICT_MEMORY_LIMIT }, 0, TEST_MEMORY_LIMIT, FAULT_LIMIT },
		{ { .verdict = VERDICT_OUTPUT_LIMIT }, 0, TEST_OUTPUT_LIMIT, FAULT_LIMIT },
		{ { .verdict = VERDICT_PROCESS_LIMIT }, 0, TEST_RUNTIME_ERROR, FAULT_LIMIT },
		{ { .verdict = VERDICT_DISK_LIMIT }, 0, TEST_RUNTIME_ERROR, FAULT_LIMIT },
		{ { .verdict = VERDICT_DENIED }, 0, TEST_DENIED, FAULT_PROGRAM },
		{ { .verdict = VERDICT_CANCELLED }, 0, TEST_SKIPPED, FAULT_NONE },
		{ { .verdict = VERDICT_COUNT }, 0, TEST_SERVICE_FAULT, FAULT_SERVICE },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		enum test_verdict verdict = test_verdict_of_run(&rows[i].result, rows[i].exit_code, 1000);

		if (verdict != rows[i].verdict || test_fault_of_verdict(verdict, &rows[i].result) != rows[i].fault)
			fail_msg("row %zu: %s", i, test_verdict_name(verdict));
	}
}

/* A checker that does not judge is never a verdict on the program. */
static void
test_programs(void **state)
{
	(void)state;
	for (int code = 0; code < 256; code++) {
		const struct run_result result = { .verdict = code == 0 ? VERDICT_OK : VERDICT_EXIT, .exit_code = code };
		enum test_verdict wanted = code == 0    ? TEST_ACCEPTED :
		    code == 1                           ? TEST_WRONG_ANSWER :
		    code == 2 || code == 4 || code == 8 ? TEST_PRESENTATION_ERROR :
		                                          TEST_SERVICE_FAULT;

		assert_int_equal(test_verdict_of_program(&result), wanted);
	}
	for (uint32_t verdict = VERDICT_SIGNAL; verdict <= VERDICT_COUNT; verdict++)
		assert_int_equal(test_verdict_of_program(&(struct run_result){ .verdict = verdict }), TEST_SERVICE_FAULT);
}

static const char *
name_of_fault(enum verdict verdict, uint32_t was_starved)
{
	return test_fault_name(test_fault_of_run(&(struct run_result){ .verdict = verdict, .was_starved = was_starved }));
}

static void
test_names(void **state)
{
	(void)state;
	for (int i = 0; i < TEST_VERDICTS; i++) {
		assert_non_null(test_verdict_name((enum test_verdict)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(test_verdict_name((enum test_verdict)i), test_verdict_name((enum test_verdict)j));
	}
	assert_null(test_fault_name(FAULT_NONE));
	assert_string_equal(name_of_fault(VERDICT_COMPILE_ERROR, 0), "program");
	assert_string_equal(name_of_fault(VERDICT_TIMEOUT, 0), "limit");
	assert_string_equal(name_of_fault(VERDICT_TIMEOUT, 1), "service");
	assert_string_equal(name_of_fault(VERDICT_CANCELLED, 0), "service");
	assert_null(name_of_fault(VERDICT_OK, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("test_verdict", tests, NULL, NULL);
}
