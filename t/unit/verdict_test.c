/* verdict_test.c - every way in which a run can end, and its verdict. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>

#include "messages.h"
#include "broker/verdict.h"

#define EXITED(code) ((code) << 8)

static const struct {
	const char *name;
	struct run_facts facts;
	struct run_result expected;
} cases[] = {
	{ "a good end", { .wait_status = EXITED(0) }, { .verdict = VERDICT_OK } },
	{ "a good end in spite of limits that were hit on the way",
	    { .wait_status = EXITED(0), .out_of_memory = true, .fork_refused = true, .disk_full = DISK_FULL_BYTES },
	    { .verdict = VERDICT_OK } },
	{ "an exit code", { .wait_status = EXITED(3) }, { .verdict = VERDICT_EXIT, .exit_code = 3 } },
	{ "a signal", { .wait_status = SIGSEGV }, { .verdict = VERDICT_SIGNAL, .exit_code = -1, .signal = SIGSEGV } },
	{ "the wall clock", { .end = END_WALL, .wait_status = SIGKILL },
	    { .verdict = VERDICT_TIMEOUT, .exit_code = -1, .signal = SIGKILL } },
	{ "an exit after its time", { .end = END_WALL, .wait_status = EXITED(0) },
	    { .verdict = VERDICT_TIMEOUT, .exit_code = -1, .signal = SIGKILL } },
	{ "last words after its time", { .end = END_CPU, .wait_status = GUEST_LAST_WORDS },
	    { .verdict = VERDICT_CPU_LIMIT, .exit_code = -1, .signal = SIGKILL } },
	{ "CPU time, seen by us", { .end = END_CPU, .wait_status = SIGKILL },
	    { .verdict = VERDICT_CPU_LIMIT, .exit_code = -1, .signal = SIGKILL } },
	{ "CPU time, seen by the kernel first", { .wait_status = SIGKILL, .cpu_us = 2000001, .cpu_limit_ms = 2000 },
	    { .verdict = VERDICT_CPU_LIMIT, .exit_code = -1, .signal = SIGKILL } },
	{ "a kill by itself, well within its time", { .wait_status = SIGKILL, .cpu_us = 5, .cpu_limit_ms = 2000 },
	    { .verdict = VERDICT_SIGNAL, .exit_code = -1, .signal = SIGKILL } },
	{ "a system call that only an attack makes", { .wait_status = SIGSYS },
	    { .verdict = VERDICT_DENIED, .exit_code = -1, .signal = SIGSYS } },
	{ "memory", { .wait_status = SIGKILL, .out_of_memory = true },
	    { .verdict = VERDICT_MEMORY_LIMIT, .exit_code = -1, .signal = SIGKILL } },
	{ "memory of a child that it could not do without", { .wait_status = EXITED(1), .out_of_memory = true },
	    { .verdict = VERDICT_MEMORY_LIMIT, .exit_code = -1 } },
	{ "memory that an interpreter could not do without", { .wait_status = GUEST_OUT_OF_MEMORY },
	    { .verdict = VERDICT_MEMORY_LIMIT, .exit_code = -1, .signal = SIGKILL } },
	{ "output", { .end = END_OUTPUT, .wait_status = SIGKILL },
	    { .verdict = VERDICT_OUTPUT_LIMIT, .exit_code = -1, .signal = SIGKILL } },
	{ "too much output at the end", { .end = END_OUTPUT, .wait_status = EXITED(0) },
	    { .verdict = VERDICT_OUTPUT_LIMIT, .exit_code = -1 } },
	{ "a client that went away", { .end = END_CLIENT_GONE, .wait_status = SIGKILL },
	    { .verdict = VERDICT_CANCELLED, .exit_code = -1, .signal = SIGKILL } },
	{ "a full disk", { .wait_status = EXITED(1), .disk_full = DISK_FULL_BYTES },
	    { .verdict = VERDICT_DISK_LIMIT, .exit_code = 1 } },
	{ "no inode left", { .wait_status = EXITED(1), .disk_full = DISK_FULL_INODES },
	    { .verdict = VERDICT_DISK_LIMIT, .exit_code = 1, .inodes_full = 1 } },
	{ "more files than the disk may have, seen by us", { .end = END_DISK, .wait_status = SIGKILL },
	    { .verdict = VERDICT_DISK_LIMIT, .exit_code = -1, .signal = SIGKILL } },
	{ "a file larger than any may be", { .wait_status = SIGXFSZ },
	    { .verdict = VERDICT_DISK_LIMIT, .exit_code = -1, .signal = SIGXFSZ } },
	{ "a refused fork", { .wait_status = EXITED(1), .fork_refused = true },
	    { .verdict = VERDICT_PROCESS_LIMIT, .exit_code = 1 } },
};

static void
judges_every_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct run_result result = { 0 };

		print_message("# %s\n", cases[i].name);
		verdict_judge(&cases[i].facts, &result);
		assert_int_equal(result.verdict, cases[i].expected.verdict);
		assert_int_equal(result.exit_code, cases[i].expected.exit_code);
		assert_int_equal(result.signal, cases[i].expected.signal);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(judges_every_end) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
