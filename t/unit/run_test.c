/*
 * run_test.c - a run as the worker performs it, with a runner that follows a script: descriptors
 * that run out, runners that restart, refuse, move or end between two steps, and progress.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fdpass.h"
#include "run.h"
#include "scripted_runner.h"

static char *command[] = { (char *)"cc" };
static struct language_config c = { .name = (char *)"c",
	.warm_count = 1,
	.compile = { .command = { command, 1 }, .limits = { 1000, 1000, 1 << 20, 1, OUTPUT_BYTES, 4096, 0, 64, 16, 1 << 20 } } };
static struct language_config python3 = { .name = (char *)"python3", .warm_count = 1 };
static struct config config = { .digest = DIGEST, .queue_ms = 100, .language = { &c, &python3 }, .language_count = 2 };
enum { C, PYTHON3 };

static int cut_fd = -1;
static struct run run;
static struct runner_link runner;
static bool no_more_fds;

/* The worker makes its pipes between the runner's answer and its own next message. */
int __real_pipe2(int *fds, int flags);
int __wrap_pipe2(int *fds, int flags);
int
__wrap_pipe2(int *fds, int flags)
{
	if (no_more_fds) {
		errno = EMFILE;
		return -1;
	}
	return __real_pipe2(fds, flags);
}

/* A follower, which notes what it is told. */
static char told[256];
static int client_fds[2] = { -1, -1 };
static size_t passed_on;

static void
hear_progress(struct run_follower *follower, const struct proto_progress *progress, const struct proto_account *account)
{
	(void)follower;
	assert_int_equal(account->rate_left, RATE_LEFT);
	strcat(told, progress->progress == PROGRESS_QUEUED ? "queued " : "started ");
}

static void
hear_compiled(struct run_follower *follower, const struct run *its_run)
{
	(void)follower;
	strcat(told, its_run->compilation.was_cached ? "cached " : "compiled ");
}

/* Output comes after "started", as events.c has it: on a busy machine it is read before that. */
static int
due_ms(struct run_follower *follower, const struct run *its_run)
{
	(void)follower;
	return strstr(told, "started ") != NULL && its_run->out.size > passed_on ? 0 : INT_MAX;
}

static void
pass_on(struct run_follower *follower, const struct run *its_run)
{
	(void)follower;
	strcat(told, "output ");
	passed_on = its_run->out.size;
	sem_post(&scripted_runner.go);
}

static struct run_follower follower = { .progress = hear_progress, .compiled = hear_compiled, .due_ms = due_ms, .send = pass_on };
static bool is_followed;

static enum run_end
perform(size_t language)
{
	struct run_request request = { .language = language,
		.code = { "x", 1 },
		.limits = { .wall_ms = 1000, .output_bytes = OUTPUT_BYTES } };

	static const struct run_share share = { .name = KEY_NAME, .weight = 1 };
	const struct run_client client = { .fd = client_fds[0],
		.cut_fd = cut_fd,
		.share = &share,
		.queue_ms = scripted_runner.queue_ms,
		.waited_us = WAITED_US,
		.follower = is_followed ? &follower : NULL };

	return run_perform(&run, &runner, &config, &request, &client);
}

static void
finish(void)
{
	scripted_runner_end();
	run_release(&run);
	runner_link_close(&runner);
}

static void
test_a_compiled_run(void **state)
{
	static const enum step steps[] = { CONNECT, FIND, COMPILE, RUN, FIND_HIT, RUN, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_false(run.compilation.was_cached);
	run_release(&run);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_true(run.compilation.was_cached);
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish();
}

/*
 * The runner holds a program for this connection. A run that cannot be sent must not leave it
 * there.
 */
static void
test_no_descriptors_after_find(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_HIT, GONE, CONNECT, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	no_more_fds = true;
	assert_int_equal(perform(C), RUN_FAULT);
	no_more_fds = false;
	assert_string_equal(run.cause, "make a pipe for stdout: Too many open files");
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish();
}

/* A runner that has restarted does not know of the program: the run starts over. */
static void
test_restart_before_the_run(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_HIT, HANG_UP, GO, CONNECT, FIND, GO, COMPILE, GO, RUN, END };

	(void)state;
	scripted_runner_begin(steps, true);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_false(run.compilation.was_cached);
	finish();
}

static void
test_restart_before_the_compilation(void **state)
{
	static const enum step steps[] = { CONNECT, FIND, HANG_UP, GO, CONNECT, FIND, GO, COMPILE, HANG_UP, GO, CONNECT, FIND_HIT,
		GO, RUN, END };

	(void)state;
	scripted_runner_begin(steps, true);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_true(run.compilation.was_cached);
	finish();
}

static void
test_restarts_without_end(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_HIT, HANG_UP, GO, CONNECT, FIND_HIT, HANG_UP, GO, CONNECT, FIND_HIT,
		HANG_UP, GO, END };

	(void)state;
	scripted_runner_begin(steps, true);
	assert_int_equal(perform(C), RUN_NO_RUNNER);
	assert_non_null(strstr(run.cause, "send: "));
	finish();
}

/* A run of an interpreter is one step: it is sent again if it was not delivered. */
static void
test_restart_between_runs(void **state)
{
	static const enum step steps[] = { CONNECT, RUN, HANG_UP, GO, CONNECT, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	run_release(&run);
	sem_wait(&scripted_runner.go);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish();
}

/*
 * The runner says that all is well, and holds the program; the worker finds too much output in the
 * pipe, and has no use for it.
 */
static void
test_too_much_output_of_a_compiler(void **state)
{
	static const enum step steps[] = { CONNECT, FIND, COMPILE_BIG, GONE, CONNECT, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_int_equal(run.result.verdict, VERDICT_COMPILE_ERROR);
	assert_int_equal(run.compilation.result.verdict, VERDICT_OUTPUT_LIMIT);
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish();
}

static void
test_refused(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_HIT, RUN_BUSY, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(C), RUN_REFUSED);
	assert_int_equal(run.refused.refusal, REFUSED_BUSY);
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish();
}

/* The idle thread connects again; what was run before and what comes after is served. */
static void
test_moved(void **state)
{
	static const enum step steps[] = { CONNECT, RUN, MOVE, MOVED_TO, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	run_release(&run);
	assert_true(scripted_runner_readable(runner.fd));
	assert_int_equal(runner_link_idle(&runner), 0);
	assert_false(runner.moved);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish();
}

/* The message crosses a request: the older runner serves it, and the newer one the next. */
static void
test_moved_during_a_run(void **state)
{
	static const enum step steps[] = { CONNECT, MOVE, RUN, MOVED_TO, FIND, MOVE, COMPILE, RUN, MOVED_TO, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	assert_true(runner.moved);
	run_release(&run);
	assert_int_equal(perform(C), RUN_ENDED); /* the steps of one run stay with one runner */
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish();
}

/* The newer runner has another configuration: the older one still serves what this worker has. */
static void
test_moved_to_another_configuration(void **state)
{
	static const enum step steps[] = { CONNECT, RUN, MOVE, MOVED_OTHER, MOVED_OTHER, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	run_release(&run);
	assert_false(runner.stale);
	assert_true(scripted_runner_readable(runner.fd));
	assert_int_equal(runner_link_idle(&runner), 0);
	assert_true(runner.stale);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	assert_true(runner.stale);
	finish();
}

/* A run that was handed over may have begun. */
static void
test_lost(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_DIE, CONNECT, RUN, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(PYTHON3), RUN_LOST);
	assert_non_null(strstr(run.cause, "the runner closed the connection"));
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish();
}

/* Children of a program that has ended may take long to die, and have its pipes open. */
static void
test_pipes_that_stay_open(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_KEPT, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	assert_int_equal(run.out.size, 5);
	assert_memory_equal(run.out.bytes, "hello", 5);
	assert_false(run.out.truncated);
	assert_false(run.err.truncated);
	finish();
	fdpass_close(scripted_runner.kept, 4);
}

/* A worker that ends gives the run up, and the runner learns of it. */
static void
test_cut(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_SILENT, GONE, END };

	(void)state;
	scripted_runner_begin(steps, false);
	cut_fd = eventfd(1, EFD_CLOEXEC);
	assert_int_equal(perform(PYTHON3), RUN_LOST);
	close(cut_fd);
	cut_fd = -1;
	finish();
}

/* Output is passed on while the program runs: the script ends the run only after that. */
static void
test_followed(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_TOLD, FIND, COMPILE_TOLD, RUN_TOLD, FIND_HIT, RUN_TOLD, END };
	static const char *const tales[] = { "queued started output ", "queued compiled queued started output ",
		"cached queued started output " };

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client_fds), 0);
	is_followed = true;
	scripted_runner_begin(steps, false);
	for (int i = 0; i < 3; i++) {
		told[0] = '\0';
		passed_on = 0;
		assert_int_equal(perform(i == 0 ? PYTHON3 : C), RUN_ENDED);
		assert_string_equal(told, tales[i]);
		assert_memory_equal(run.out.bytes, "hello", 5);
		run_release(&run);
	}
	is_followed = false;
	fdpass_close(client_fds, 2);
	client_fds[0] = client_fds[1] = -1;
	finish();
}

/* The text of a compiler must never be taken for output of the program. */
static void
test_a_compilation_that_starts(void **state)
{
	static const enum step steps[] = { CONNECT, FIND, COMPILE_STARTS, GONE, END };

	(void)state;
	is_followed = true;
	told[0] = '\0';
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(C), RUN_FAULT);
	assert_string_equal(told, "");
	is_followed = false;
	finish();
}

static void
test_progress_of_a_plain_run(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_TOLD_UNASKED, GONE, END };

	(void)state;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(PYTHON3), RUN_FAULT);
	finish();
}

/* The first run of a language that slept: its compiler is known only when the warden is up. */
static void
test_a_language_that_wakes(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_LATE, COMPILE, RUN, FIND, COMPILE, RUN, END };

	(void)state;
	scripted_runner.queue_ms = 60000;
	scripted_runner_begin(steps, false);
	assert_int_equal(perform(C), RUN_ENDED);
	run_release(&run);
	assert_int_equal(perform(C), RUN_ENDED);
	finish();
	scripted_runner.queue_ms = 1000;
}

static void
test_no_runner(void **state)
{
	char *listened = config.socket_path;

	(void)state;
	config.socket_path = (char *)"/nowhere/runner.sock";
	runner_link_init(&runner, &config);
	assert_int_equal(perform(PYTHON3), RUN_NO_RUNNER);
	assert_string_equal(run.cause, "/nowhere/runner.sock: connect: No such file or directory");
	config.socket_path = listened;
	runner_link_init(&runner, &config);
	run_release(&run);
}

static int
set_up(void **state)
{
	(void)state;
	config.socket_path = scripted_runner_listen(&run);
	run_init(&run);
	runner_link_init(&runner, &config);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	run_free(&run);
	scripted_runner_close();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_compiled_run),
		cmocka_unit_test(test_no_descriptors_after_find),
		cmocka_unit_test(test_restart_before_the_run),
		cmocka_unit_test(test_restart_before_the_compilation),
		cmocka_unit_test(test_restarts_without_end),
		cmocka_unit_test(test_restart_between_runs),
		cmocka_unit_test(test_too_much_output_of_a_compiler),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_moved_during_a_run),
		cmocka_unit_test(test_moved_to_another_configuration),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_pipes_that_stay_open),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_followed),
		cmocka_unit_test(test_a_compilation_that_starts),
		cmocka_unit_test(test_progress_of_a_plain_run),
		cmocka_unit_test(test_a_language_that_wakes),
		cmocka_unit_test(test_no_runner),
	};

	return cmocka_run_group_tests_name("run", tests, set_up, tear_down);
}
