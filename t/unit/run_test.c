/*
 * run_test.c - a run as the worker performs it, with a runner that follows a script: descriptors
 * that run out, and a runner that restarts between two steps of a compiled run.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdpass.h"
#include "run.h"

#define DIGEST 77
#define OUTPUT_BYTES 1000
#define LATE_MS 2100 /* more than runner_link.c waits for an answer that needs no start */

/* A step of the runner. */
enum step {
	END,              /* of the script */
	CONNECT,          /* the worker connects */
	FIND,             /* PROTO_FIND: not found */
	FIND_HIT,         /* PROTO_FIND: found */
	FIND_LATE,        /* PROTO_FIND: not found, after the time in which other questions are answered */
	COMPILE,          /* PROTO_COMPILE: the compiler succeeds */
	COMPILE_BIG,      /* the same, and its output, over the limit, is in the pipe at the result */
	RUN,              /* PROTO_RUN: the program succeeds */
	RUN_KEPT,         /* PROTO_RUN: the program writes and succeeds, and its pipes stay open */
	RUN_BUSY,         /* PROTO_RUN: refused */
	RUN_TOLD,         /* PROTO_RUN: its progress is told, then it writes, and succeeds when that was passed on */
	COMPILE_TOLD,     /* PROTO_COMPILE: the same without a start */
	COMPILE_STARTS,   /* PROTO_COMPILE: a start is told, which a compilation has not */
	RUN_TOLD_UNASKED, /* PROTO_RUN: its progress is told, though nobody wants to know */
	RUN_DIE,          /* PROTO_RUN: taken, and the connection ends */
	RUN_SILENT,       /* PROTO_RUN: taken, and not answered */
	MOVE,             /* the runner says that a newer one serves */
	MOVED_TO,         /* the worker connects to the newer one, which has the same configuration, and leaves the older */
	MOVED_OTHER,      /* the same, but the configuration is another */
	HANG_UP,          /* the runner closes the connection */
	GO,               /* the worker waits in memfd_create(2) until the script is here */
	GONE,             /* the worker closes the connection */
};

static char *command[] = { (char *)"cc" };
static struct language_config c = { .name = (char *)"c",
	.warm_count = 1,
	.compile = { .command = { command, 1 }, .limits = { 1000, 1000, 1 << 20, 1, OUTPUT_BYTES, 4096, 0, 64, 16, 1 << 20 } } };
static struct language_config python3 = { .name = (char *)"python3", .warm_count = 1 };
static struct config config = { .digest = DIGEST, .queue_ms = 100, .language = { &c, &python3 }, .language_count = 2 };
enum { C, PYTHON3 };

static char directory[] = "/tmp/cellblock-run-XXXXXX", path[64];
static int listener, kept[4]; /* those of RUN_KEPT */
static const enum step *script;
static char mismatch[128]; /* where the worker left the script */
static sem_t go;
static bool wait_for_go, no_more_fds;
static int cut_fd = -1;
static uint64_t queue_ms = 1000;
static bool is_late; /* the last answer to PROTO_FIND */
static struct run run;
static struct runner_link runner;

/* The worker makes its pipes and memfds between the runner's answer and its own next message. */
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int
__wrap_memfd_create(const char *name, unsigned flags)
{
	if (wait_for_go)
		sem_wait(&go);
	return __real_memfd_create(name, flags);
}

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

static bool
readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 3000) == 1;
}

static void
answer(int sock, struct proto_reply *reply)
{
	fdpass_send(sock, reply, sizeof *reply, NULL, 0);
}

/* Receive the message that this step expects, and answer. Returns whether it came. */
static bool
receive(int sock, enum step step)
{
	static const char big[2 * OUTPUT_BYTES];
	struct proto_request request = { 0 };
	struct proto_reply reply = { 0 };
	bool has_compiled, has_asked;
	uint64_t least_us;
	int fds[4] = { -1, -1, -1, -1 };
	size_t count = 0;
	uint32_t expected = step == FIND || step == FIND_HIT || step == FIND_LATE                    ? PROTO_FIND :
	    step == COMPILE || step == COMPILE_BIG || step == COMPILE_TOLD || step == COMPILE_STARTS ? PROTO_COMPILE :
	                                                                                               PROTO_RUN;
	ssize_t n = readable(sock) ? fdpass_recv(sock, &request, sizeof request, fds, 4, &count, NULL) : -2;

	if (n != (ssize_t)sizeof request || request.kind != expected) {
		snprintf(mismatch, sizeof mismatch, "expected kind %u, got %zd bytes of kind %u", expected, n, request.kind);
		fdpass_close(fds, 4);
		return false;
	}
	/*
	 * The wait of a compilation counts for its run, and that for the answer to PROTO_FIND for
	 * both.
	 */
	has_compiled = run.compilation.took_place && !run.compilation.was_cached && expected == PROTO_RUN;
	has_asked = run.compilation.took_place && !has_compiled && expected != PROTO_FIND;
	least_us = has_compiled ? 9 : has_asked && is_late ? LATE_MS * 1000 : 7;
	if (request.waited_us < least_us || (!has_asked && request.waited_us != least_us) || request.queue_ms != queue_ms ||
	    strcmp(request.share.name, "key") != 0)
		snprintf(mismatch, sizeof mismatch, "the share is not the client's");
	if (step == RUN_DIE || step == RUN_SILENT) {
		fdpass_close(fds, 4);
		return true;
	}
	reply.id = request.id;
	if (((request.flags & RUN_EVENTS) != 0) != (step == RUN_TOLD || step == COMPILE_TOLD || step == COMPILE_STARTS))
		snprintf(mismatch, sizeof mismatch, "flags %u", request.flags);
	if (step == RUN_TOLD || step == COMPILE_TOLD || step == RUN_TOLD_UNASKED) {
		reply.kind = PROTO_PROGRESS;
		reply.account.rate_left = 4;
		reply.u.progress.progress = PROGRESS_QUEUED;
		answer(sock, &reply);
	}
	if (step == COMPILE_STARTS) {
		reply.kind = PROTO_PROGRESS;
		reply.u.progress.progress = PROGRESS_STARTED;
		answer(sock, &reply);
	}
	if (step == COMPILE_STARTS || step == RUN_TOLD_UNASKED) { /* the worker hangs up */
		fdpass_close(fds, 4);
		return true;
	}
	if (step == RUN_TOLD) {
		reply.u.progress = (struct proto_progress){ .progress = PROGRESS_STARTED, .queue_us = 9 };
		answer(sock, &reply);
		if (write(fds[1], "hello", 5) != 5)
			snprintf(mismatch, sizeof mismatch, "the pipe took less");
		sem_wait(&go);
	}
	reply.u = (typeof(reply.u)){ .result.verdict = VERDICT_OK };
	if (expected == PROTO_FIND) {
		if (step == FIND_LATE)
			poll(NULL, 0, LATE_MS);
		is_late = step == FIND_LATE;
		reply.kind = PROTO_FIND;
		reply.u.found = step == FIND_HIT;
	} else if (step == RUN_BUSY) {
		reply.kind = PROTO_REFUSED;
		reply.u.refused.refusal = REFUSED_BUSY;
	} else {
		reply.kind = PROTO_RESULT;
		reply.u.result.verdict = VERDICT_OK;
		reply.u.result.queue_us = 9;
	}
	if (step == COMPILE_BIG && write(fds[1], big, sizeof big) != (ssize_t)sizeof big)
		snprintf(mismatch, sizeof mismatch, "the pipe took less");
	if (step == RUN_KEPT && write(fds[1], "hello", 5) != 5)
		snprintf(mismatch, sizeof mismatch, "the pipe took less");
	if (step == RUN_KEPT)
		memcpy(kept, fds, sizeof kept);
	else
		fdpass_close(fds, 4);
	answer(sock, &reply);
	return true;
}

/*
 * Whether the worker closes the connection. On a busy machine it reads the output before the
 * answer, and its order to cancel crosses that.
 */
static bool
is_left(int sock)
{
	struct proto_request request;
	ssize_t n;

	do
		n = readable(sock) ? recv(sock, &request, sizeof request, 0) : -1;
	while (n == (ssize_t)sizeof request && request.kind == PROTO_CANCEL);
	return n == 0;
}

static void *
play(void *unused)
{
	struct proto_reply welcome = { .kind = PROTO_WELCOME,
		.u.welcome = { .version = PROTO_VERSION, .languages = 2, .config_digest = DIGEST } };
	struct proto_reply other = welcome, moved = { .kind = PROTO_MOVED };
	int sock = -1, newer;
	char byte;

	for (const enum step *step = script; *step != END && mismatch[0] == '\0'; step++) {
		switch (*step) {
		case CONNECT:
			if (!readable(listener)) {
				snprintf(mismatch, sizeof mismatch, "no connection");
				break;
			}
			sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			answer(sock, &welcome);
			break;
		case MOVE:
			answer(sock, &moved);
			break;
		case MOVED_TO:
		case MOVED_OTHER:
			if (!readable(listener)) {
				snprintf(mismatch, sizeof mismatch, "no connection to the newer runner");
				break;
			}
			newer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			other.u.welcome.config_digest = DIGEST + 1;
			answer(newer, *step == MOVED_TO ? &welcome : &other);
			if (*step == MOVED_TO) {
				if (!readable(sock) || recv(sock, &byte, 1, 0) != 0)
					snprintf(mismatch, sizeof mismatch, "the connection to the older runner stays");
				dup3(newer, sock, O_CLOEXEC);
			}
			close(newer);
			break;
		case HANG_UP:
			close(sock);
			sock = -1;
			break;
		case GO:
			sem_post(&go);
			break;
		case GONE:
			if (!is_left(sock))
				snprintf(mismatch, sizeof mismatch, "the connection stays");
			break;
		default:
			receive(sock, *step);
			if (*step == RUN_DIE) {
				close(sock);
				sock = -1;
			}
		}
	}
	if (sock >= 0)
		close(sock);
	return unused;
}

/* A follower, which notes what it is told. */
static char told[256];
static int client_fds[2] = { -1, -1 };
static size_t passed_on;

static void
hear_progress(struct run_follower *follower, const struct proto_progress *progress, const struct proto_account *account)
{
	(void)follower;
	assert_int_equal(account->rate_left, 4);
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
	sem_post(&go);
}

static struct run_follower follower = { .progress = hear_progress, .compiled = hear_compiled, .due_ms = due_ms, .send = pass_on };
static bool is_followed;

static enum run_end
perform(size_t language)
{
	struct run_request request = { .language = language,
		.code = { "x", 1 },
		.limits = { .wall_ms = 1000, .output_bytes = OUTPUT_BYTES } };

	static const struct run_share share = { .name = "key", .weight = 1 };
	const struct run_client client = { .fd = client_fds[0],
		.cut_fd = cut_fd,
		.share = &share,
		.queue_ms = queue_ms,
		.waited_us = 7,
		.follower = is_followed ? &follower : NULL };

	return run_perform(&run, &runner, &config, &request, &client);
}

static void
begin(pthread_t *thread, const enum step *steps, bool with_go)
{
	script = steps;
	mismatch[0] = '\0';
	wait_for_go = with_go;
	assert_int_equal(pthread_create(thread, NULL, play, NULL), 0);
}

static void
finish(pthread_t thread)
{
	pthread_join(thread, NULL);
	assert_string_equal(mismatch, "");
	run_release(&run);
	runner_link_close(&runner);
}

static void
test_a_compiled_run(void **state)
{
	static const enum step steps[] = { CONNECT, FIND, COMPILE, RUN, FIND_HIT, RUN, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_false(run.compilation.was_cached);
	run_release(&run);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_true(run.compilation.was_cached);
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish(thread);
}

/*
 * The runner holds a program for this connection. A run that cannot be sent must not leave it
 * there.
 */
static void
test_no_descriptors_after_find(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_HIT, GONE, CONNECT, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	no_more_fds = true;
	assert_int_equal(perform(C), RUN_FAULT);
	no_more_fds = false;
	assert_string_equal(run.cause, "make a pipe for stdout: Too many open files");
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish(thread);
}

/* A runner that has restarted does not know of the program: the run starts over. */
static void
test_restart_before_the_run(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_HIT, HANG_UP, GO, CONNECT, FIND, GO, COMPILE, GO, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, true);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_false(run.compilation.was_cached);
	finish(thread);
}

static void
test_restart_before_the_compilation(void **state)
{
	static const enum step steps[] = { CONNECT, FIND, HANG_UP, GO, CONNECT, FIND, GO, COMPILE, HANG_UP, GO, CONNECT, FIND_HIT,
		GO, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, true);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_true(run.compilation.was_cached);
	finish(thread);
}

static void
test_restarts_without_end(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_HIT, HANG_UP, GO, CONNECT, FIND_HIT, HANG_UP, GO, CONNECT, FIND_HIT,
		HANG_UP, GO, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, true);
	assert_int_equal(perform(C), RUN_NO_RUNNER);
	assert_non_null(strstr(run.cause, "send: "));
	finish(thread);
}

/* A run of an interpreter is one step: it is sent again if it was not delivered. */
static void
test_restart_between_runs(void **state)
{
	static const enum step steps[] = { CONNECT, RUN, HANG_UP, GO, CONNECT, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	run_release(&run);
	sem_wait(&go);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish(thread);
}

/*
 * The runner says that all is well, and holds the program; the worker finds too much output in the
 * pipe, and has no use for it.
 */
static void
test_too_much_output_of_a_compiler(void **state)
{
	static const enum step steps[] = { CONNECT, FIND, COMPILE_BIG, GONE, CONNECT, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(C), RUN_ENDED);
	assert_int_equal(run.result.verdict, VERDICT_COMPILE_ERROR);
	assert_int_equal(run.compilation.result.verdict, VERDICT_OUTPUT_LIMIT);
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish(thread);
}

static void
test_refused(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_HIT, RUN_BUSY, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(C), RUN_REFUSED);
	assert_int_equal(run.refused.refusal, REFUSED_BUSY);
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish(thread);
}

/* The idle thread connects again; what was run before and what comes after is served. */
static void
test_moved(void **state)
{
	static const enum step steps[] = { CONNECT, RUN, MOVE, MOVED_TO, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	run_release(&run);
	assert_true(readable(runner.fd));
	assert_int_equal(runner_link_idle(&runner), 0);
	assert_false(runner.moved);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish(thread);
}

/* The message crosses a request: the older runner serves it, and the newer one the next. */
static void
test_moved_during_a_run(void **state)
{
	static const enum step steps[] = { CONNECT, MOVE, RUN, MOVED_TO, FIND, MOVE, COMPILE, RUN, MOVED_TO, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	assert_true(runner.moved);
	run_release(&run);
	assert_int_equal(perform(C), RUN_ENDED); /* the steps of one run stay with one runner */
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish(thread);
}

/* The newer runner has another configuration: the older one still serves what this worker has. */
static void
test_moved_to_another_configuration(void **state)
{
	static const enum step steps[] = { CONNECT, RUN, MOVE, MOVED_OTHER, MOVED_OTHER, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	run_release(&run);
	assert_false(runner.stale);
	assert_true(readable(runner.fd));
	assert_int_equal(runner_link_idle(&runner), 0);
	assert_true(runner.stale);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	assert_true(runner.stale);
	finish(thread);
}

/* A run that was handed over may have begun. */
static void
test_lost(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_DIE, CONNECT, RUN, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(PYTHON3), RUN_LOST);
	assert_non_null(strstr(run.cause, "the runner closed the connection"));
	run_release(&run);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	finish(thread);
}

/* Children of a program that has ended may take long to die, and have its pipes open. */
static void
test_pipes_that_stay_open(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_KEPT, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(PYTHON3), RUN_ENDED);
	assert_int_equal(run.out.size, 5);
	assert_memory_equal(run.out.bytes, "hello", 5);
	assert_false(run.out.truncated);
	assert_false(run.err.truncated);
	finish(thread);
	fdpass_close(kept, 4);
}

/* A worker that ends gives the run up, and the runner learns of it. */
static void
test_cut(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_SILENT, GONE, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	cut_fd = eventfd(1, EFD_CLOEXEC);
	assert_int_equal(perform(PYTHON3), RUN_LOST);
	close(cut_fd);
	cut_fd = -1;
	finish(thread);
}

/* Output is passed on while the program runs: the script ends the run only after that. */
static void
test_followed(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_TOLD, FIND, COMPILE_TOLD, RUN_TOLD, FIND_HIT, RUN_TOLD, END };
	static const char *const tales[] = { "queued started output ", "queued compiled queued started output ",
		"cached queued started output " };
	pthread_t thread;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client_fds), 0);
	is_followed = true;
	begin(&thread, steps, false);
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
	finish(thread);
}

/* The text of a compiler must never be taken for output of the program. */
static void
test_a_compilation_that_starts(void **state)
{
	static const enum step steps[] = { CONNECT, FIND, COMPILE_STARTS, GONE, END };
	pthread_t thread;

	(void)state;
	is_followed = true;
	told[0] = '\0';
	begin(&thread, steps, false);
	assert_int_equal(perform(C), RUN_FAULT);
	assert_string_equal(told, "");
	is_followed = false;
	finish(thread);
}

static void
test_progress_of_a_plain_run(void **state)
{
	static const enum step steps[] = { CONNECT, RUN_TOLD_UNASKED, GONE, END };
	pthread_t thread;

	(void)state;
	begin(&thread, steps, false);
	assert_int_equal(perform(PYTHON3), RUN_FAULT);
	finish(thread);
}

/* The first run of a language that slept: its compiler is known only when the warden is up. */
static void
test_a_language_that_wakes(void **state)
{
	static const enum step steps[] = { CONNECT, FIND_LATE, COMPILE, RUN, FIND, COMPILE, RUN, END };
	pthread_t thread;

	(void)state;
	queue_ms = 60000;
	begin(&thread, steps, false);
	assert_int_equal(perform(C), RUN_ENDED);
	run_release(&run);
	assert_int_equal(perform(C), RUN_ENDED);
	finish(thread);
	queue_ms = 1000;
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
listen_somewhere(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/runner.sock", directory);
	strcpy(address.sun_path, path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 8), 0);
	config.socket_path = path;
	sem_init(&go, 0, 0);
	run_init(&run);
	runner_link_init(&runner, &config);
	return 0;
}

static int
clean_up(void **state)
{
	(void)state;
	run_free(&run);
	close(listener);
	unlink(path);
	rmdir(directory);
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

	return cmocka_run_group_tests_name("run", tests, listen_somewhere, clean_up);
}
