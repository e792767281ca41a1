/* test_verdict.c - see test_verdict.h. Runs in the worker. */
#include "test_verdict.h"

#include <stddef.h>

/* Exit codes of checkers, as testlib has them. */
enum {
	CHECKER_OK = 0,
	CHECKER_WRONG_ANSWER = 1,
	CHECKER_PRESENTATION_ERROR = 2,
	CHECKER_DIRT = 4,           /* more than the answer was there */
	CHECKER_UNEXPECTED_END = 8, /* less was there */
};

const char *
test_verdict_name(enum test_verdict verdict)
{
	static const char *const names[TEST_VERDICTS] = { [TEST_ACCEPTED] = "accepted",
		[TEST_WRONG_ANSWER] = "wrong_answer",
		[TEST_PRESENTATION_ERROR] = "presentation_error",
		[TEST_TIME_LIMIT] = "time_limit",
		[TEST_MEMORY_LIMIT] = "memory_limit",
		[TEST_OUTPUT_LIMIT] = "output_limit",
		[TEST_RUNTIME_ERROR] = "runtime_error",
		[TEST_DENIED] = "denied",
		[TEST_SKIPPED] = "skipped",
		[TEST_SERVICE_FAULT] = "service_fault" };

	return verdict < TEST_VERDICTS ? names[verdict] : names[TEST_SERVICE_FAULT];
}

const char *
test_fault_name(enum fault fault)
{
	switch (fault) {
	case FAULT_NONE:
		break;
	case FAULT_PROGRAM:
		return "program";
	case FAULT_LIMIT:
		return "limit";
	case FAULT_SERVICE:
		return "service";
	}
	return NULL;
}

enum fault
test_fault_of_run(const struct run_result *result)
{
	if (result->was_starved)
		return FAULT_SERVICE;
	switch ((enum verdict)result->verdict) {
	case VERDICT_OK:
		return FAULT_NONE;
	case VERDICT_EXIT:
	case VERDICT_SIGNAL:
	case VERDICT_DENIED:
	case VERDICT_COMPILE_ERROR:
		return FAULT_PROGRAM;
	case VERDICT_TIMEOUT:
	case VERDICT_CPU_LIMIT:
	case VERDICT_MEMORY_LIMIT:
	case VERDICT_OUTPUT_LIMIT:
	case VERDICT_PROCESS_LIMIT:
	case VERDICT_DISK_LIMIT:
		return FAULT_LIMIT;
	case VERDICT_CANCELLED:
	case VERDICT_COUNT:
		break;
	}
	return FAULT_SERVICE;
}

enum test_verdict
test_verdict_of_run(const struct run_result *result, int exit_code, uint64_t cpu_limit_ms)
{
	switch ((enum verdict)result->verdict) {
	case VERDICT_OK:
	case VERDICT_EXIT:
		/*
		 * A program that ended by itself just before it was looked at has used too much all
		 * the same. How soon it was looked at must not matter.
		 */
		if (result->cpu_us > cpu_limit_ms * 1000)
			return TEST_TIME_LIMIT;
		return result->exit_code == exit_code ? TEST_ACCEPTED : TEST_RUNTIME_ERROR;
	case VERDICT_TIMEOUT:
		return result->was_starved ? TEST_SERVICE_FAULT : TEST_TIME_LIMIT;
	case VERDICT_CPU_LIMIT:
		return TEST_TIME_LIMIT;
	case VERDICT_MEMORY_LIMIT:
		return TEST_MEMORY_LIMIT;
	case VERDICT_OUTPUT_LIMIT:
		return TEST_OUTPUT_LIMIT;
	case VERDICT_SIGNAL:
	case VERDICT_PROCESS_LIMIT:
	case VERDICT_DISK_LIMIT:
		return TEST_RUNTIME_ERROR;
	case VERDICT_DENIED:
		return TEST_DENIED;
	case VERDICT_CANCELLED:
		return TEST_SKIPPED;
	case VERDICT_COMPILE_ERROR:
	case VERDICT_COUNT:
		break;
	}
	return TEST_SERVICE_FAULT;
}

enum fault
test_fault_of_verdict(enum test_verdict verdict, const struct run_result *result)
{
	switch (verdict) {
	case TEST_ACCEPTED:
	case TEST_SKIPPED:
		return FAULT_NONE;
	case TEST_WRONG_ANSWER:
	case TEST_PRESENTATION_ERROR:
	case TEST_DENIED:
		return FAULT_PROGRAM;
	case TEST_TIME_LIMIT:
	case TEST_MEMORY_LIMIT:
	case TEST_OUTPUT_LIMIT:
		return FAULT_LIMIT;
	case TEST_RUNTIME_ERROR:
		return test_fault_of_run(result) == FAULT_LIMIT ? FAULT_LIMIT : FAULT_PROGRAM;
	case TEST_SERVICE_FAULT:
	case TEST_VERDICTS:
		break;
	}
	return FAULT_SERVICE;
}

enum test_verdict
test_verdict_of_check(enum check check)
{
	switch (check) {
	case CHECK_ACCEPTED:
		return TEST_ACCEPTED;
	case CHECK_WRONG:
		return TEST_WRONG_ANSWER;
	case CHECK_PRESENTATION:
		return TEST_PRESENTATION_ERROR;
	case CHECK_FAILED:
		break;
	}
	return TEST_SERVICE_FAULT;
}

enum test_verdict
test_verdict_of_program(const struct run_result *result)
{
	if (result->verdict != VERDICT_OK && result->verdict != VERDICT_EXIT)
		return TEST_SERVICE_FAULT;
	switch (result->exit_code) {
	case CHECKER_OK:
		return TEST_ACCEPTED;
	case CHECKER_WRONG_ANSWER:
		return TEST_WRONG_ANSWER;
	case CHECKER_PRESENTATION_ERROR:
	case CHECKER_DIRT:
	case CHECKER_UNEXPECTED_END:
		return TEST_PRESENTATION_ERROR;
	default:
		return TEST_SERVICE_FAULT;
	}
}
