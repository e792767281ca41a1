/* scripted_runner.c - see scripted_runner.h. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdpass.h"
#include "proto.h"
#include "scripted_runner.h"

#define LATE_MS 2100 /* more than runner_link.c waits for an answer that needs no start */

struct scripted_runner scripted_runner = { .queue_ms = 1000 };

static char directory[] = "/tmp/cellblock-run-XXXXXX", path[64];
static int listener;
static pthread_t thread;
static const enum step *script;
static char mismatch[128]; /* where the worker left the script */
static const struct run *run;
static bool wait_for_go;
static bool is_late; /* the last answer to PROTO_FIND */

/* The worker makes its memfds between the runner's answer and its own next message. */
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int
__wrap_memfd_create(const char *name, unsigned flags)
{
	if (wait_for_go)
		sem_wait(&scripted_runner.go);
	return __real_memfd_create(name, flags);
}

bool
scripted_runner_readable(int fd)
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
	ssize_t n = scripted_runner_readable(sock) ? fdpass_recv(sock, &request, sizeof request, fds, 4, &count, NULL) : -2;

	if (n != (ssize_t)sizeof request || request.kind != expected) {
		snprintf(mismatch, sizeof mismatch, "expected kind %u, got %zd bytes of kind %u", expected, n, request.kind);
		fdpass_close(fds, 4);
		return false;
	}
	/*
	 * The wait of a compilation counts for its run, and that for the answer to PROTO_FIND for
	 * both.
	 */
	has_compiled = run->compilation.took_place && !run->compilation.was_cached && expected == PROTO_RUN;
	has_asked = run->compilation.took_place && !has_compiled && expected != PROTO_FIND;
	least_us = has_compiled ? 9 : has_asked && is_late ? LATE_MS * 1000 : WAITED_US;
	if (request.waited_us < least_us || (!has_asked && request.waited_us != least_us) ||
	    request.queue_ms != scripted_runner.queue_ms || strcmp(request.share.name, KEY_NAME) != 0)
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
		reply.account.rate_left = RATE_LEFT;
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
		sem_wait(&scripted_runner.go);
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
		memcpy(scripted_runner.kept, fds, sizeof scripted_runner.kept);
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
		n = scripted_runner_readable(sock) ? recv(sock, &request, sizeof request, 0) : -1;
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
			if (!scripted_runner_readable(listener)) {
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
			if (!scripted_runner_readable(listener)) {
				snprintf(mismatch, sizeof mismatch, "no connection to the newer runner");
				break;
			}
			newer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			other.u.welcome.config_digest = DIGEST + 1;
			answer(newer, *step == MOVED_TO ? &welcome : &other);
			if (*step == MOVED_TO) {
				if (!scripted_runner_readable(sock) || recv(sock, &byte, 1, 0) != 0)
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
			sem_post(&scripted_runner.go);
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

char *
scripted_runner_listen(const struct run *performed)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	run = performed;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/runner.sock", directory);
	strcpy(address.sun_path, path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 8), 0);
	sem_init(&scripted_runner.go, 0, 0);
	return path;
}

void
scripted_runner_close(void)
{
	close(listener);
	unlink(path);
	rmdir(directory);
}

void
scripted_runner_begin(const enum step *steps, bool waits_for_go)
{
	script = steps;
	mismatch[0] = '\0';
	wait_for_go = waits_for_go;
	assert_int_equal(pthread_create(&thread, NULL, play, NULL), 0);
}

void
scripted_runner_end(void)
{
	pthread_join(thread, NULL);
	assert_string_equal(mismatch, "");
}
