/* test_verdict.h - the verdict on a test, from how its run ended. No I/O. */
#ifndef CELLBLOCK_TEST_VERDICT_H
#define CELLBLOCK_TEST_VERDICT_H

#include <stdbool.h>

#include "checker.h"
#include "proto.h"

/* In the order of docs/tests.md. */
enum test_verdict {
	TEST_ACCEPTED,
	TEST_WRONG_ANSWER,
	TEST_PRESENTATION_ERROR,
	TEST_TIME_LIMIT,
	TEST_MEMORY_LIMIT,
	TEST_OUTPUT_LIMIT,
	TEST_RUNTIME_ERROR,
	TEST_DENIED,
	TEST_SKIPPED,
	TEST_SERVICE_FAULT, /* nothing is known about the program */
	TEST_VERDICTS
};

/* Whose fault it is that a run or a test did not go well. */
enum fault {
	FAULT_NONE,
	FAULT_PROGRAM,
	FAULT_LIMIT, /* of the request or the configuration; the program met it */
	FAULT_SERVICE,
};

/* The names in a reply. FAULT_NONE has none: NULL. */
const char *test_verdict_name(enum test_verdict verdict);
const char *test_fault_name(enum fault fault);

/* The fault of a run that ended. */
enum fault test_fault_of_run(const struct run_result *result);

/*
 * Judge a run that ended, before its output is looked at. `exit_code`: the one that was expected;
 * `cpu_limit_ms`: of the run. TEST_ACCEPTED: all is well so far.
 */
enum test_verdict test_verdict_of_run(const struct run_result *result, int exit_code, uint64_t cpu_limit_ms);

/* The fault that goes with a verdict on such a run. */
enum fault test_fault_of_verdict(enum test_verdict verdict, const struct run_result *result);

/* Judge by what a checker says. */
enum test_verdict test_verdict_of_check(enum check check);

/*
 * Judge by the exit code of a checker, or an interactor, of the request's own: those of testlib.
 * TEST_SERVICE_FAULT: it did not judge.
 */
enum test_verdict test_verdict_of_program(const struct run_result *result);

#endif
