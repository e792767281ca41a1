/*
 * key.c - the runs of one API key, as workers send them:
 *
 *     key SOCKET LANGUAGE COUNT AT_ONCE [OPTION=VALUE]... CODE
 *
 * Sends COUNT runs of CODE, AT_ONCE at the same time, each on a connection of its own. For each it
 * prints a line: the ms since the beginning when it was sent, the ms until its answer, the wait in
 * the queue in ms, the refusal (0: it was carried out), retry_ms, rate_left. LANGUAGE is the index
 * of the language. The options are those of struct run_share, and queue_ms, waited_us, and
 * memory_bytes. See t/fair.t.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fdpass.h"
#include "proto.h"
#include "runner_client.h"

#define OF_PROCESS 30 /* connections: a worker has no more */
#define ANSWER_MS 120000

static struct proto_request request;
static uint64_t began_us;
static int fds[3];

static void __attribute__((noreturn)) fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
set_option(const char *name, const char *value)
{
	struct run_share *share = &request.share;
	uint64_t number = strtoull(value, NULL, 10);
	const struct {
		const char *name;
		uint32_t *small;
		uint64_t *large;
	} options[] = { { "weight", &share->weight, NULL }, { "running", &share->running, NULL },
		{ "waiting", &share->waiting, NULL }, { "rate", &share->rate, NULL }, { "burst", &share->burst, NULL },
		{ "queue_ms", NULL, &request.queue_ms }, { "waited_us", NULL, &request.waited_us },
		{ "memory_bytes", NULL, &request.limits.memory_bytes } };

	if (strcmp(name, "name") == 0) {
		snprintf(share->name, sizeof share->name, "%s", value);
		return;
	}
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		if (strcmp(name, options[i].name) != 0)
			continue;
		if (options[i].small != NULL)
			*options[i].small = (uint32_t)number;
		else
			*options[i].large = number;
		return;
	}
	fprintf(stderr, "unknown option %s\n", name);
	exit(2);
}

static void
open_job(const char *code)
{
	fds[0] = runner_client_job(code);
	/* Nobody reads it; the programs write nothing. */
	if (pipe2(&fds[1], O_CLOEXEC) != 0 || dup2(fds[2], fds[1]) < 0)
		fail("make a pipe");
}

static int
open_link(const char *path)
{
	struct proto_reply welcome;
	int fd = runner_client_connect(path);

	if (recv(fd, &welcome, sizeof welcome, 0) != (ssize_t)sizeof welcome || welcome.kind != PROTO_WELCOME)
		fail("read the welcome");
	return fd;
}

static uint64_t
send_run(int fd)
{
	if (fdpass_send(fd, &request, sizeof request, fds, 3) != 0)
		fail("send a run");
	return clock_us();
}

static void
report(uint64_t sent_us, const struct proto_reply *reply)
{
	uint64_t now_us = clock_us();
	int is_result = reply->kind == PROTO_RESULT;

	printf("%.1f %.1f %.1f %u %u %u\n", (double)(sent_us - began_us) / 1e3, (double)(now_us - sent_us) / 1e3,
	    is_result ? (double)reply->u.result.queue_us / 1e3 : -1, is_result ? 0 : reply->u.refused.refusal,
	    is_result ? 0 : reply->u.refused.retry_ms, reply->account.rate_left);
	fflush(stdout);
}

/* One process: `count` runs, `at_once` at the same time. */
static void
carry_out(const char *path, unsigned count, unsigned at_once)
{
	struct pollfd polled[OF_PROCESS];
	uint64_t sent_us[OF_PROCESS];
	unsigned sent = 0, answered = 0;

	for (unsigned i = 0; i < at_once; i++)
		polled[i] = (struct pollfd){ .fd = open_link(path), .events = POLLIN };
	for (; sent < at_once; sent++)
		sent_us[sent] = send_run(polled[sent].fd);
	while (answered < count) {
		if (poll(polled, at_once, ANSWER_MS) <= 0)
			fail("wait for an answer");
		for (unsigned i = 0; i < at_once; i++) {
			struct proto_reply reply;

			if (polled[i].revents == 0)
				continue;
			if (recv(polled[i].fd, &reply, sizeof reply, 0) != (ssize_t)sizeof reply)
				fail("read an answer");
			report(sent_us[i], &reply);
			answered++;
			if (sent < count) {
				sent_us[i] = send_run(polled[i].fd);
				sent++;
			} else {
				polled[i].fd = -1;
			}
		}
	}
}

int
main(int argc, char **argv)
{
	unsigned count, at_once;
	int status = 0, one;

	if (argc < 6)
		return 2;
	request = runner_client_run((uint32_t)strtoul(argv[2], NULL, 10), 15000, "-");
	request.id = 0;
	request.share.weight = 10;
	count = (unsigned)strtoul(argv[3], NULL, 10);
	at_once = (unsigned)strtoul(argv[4], NULL, 10);
	for (int i = 5; i < argc - 1; i++) {
		char *value = strchr(argv[i], '=');

		if (value == NULL)
			return 2;
		*value = '\0';
		set_option(argv[i], value + 1);
	}
	open_job(argv[argc - 1]);
	began_us = clock_us();
	while (at_once > 0) {
		unsigned part = at_once < OF_PROCESS ? at_once : OF_PROCESS;
		unsigned runs = at_once <= OF_PROCESS ? count : count * part / at_once;

		if (fork() == 0) {
			carry_out(argv[1], runs, part);
			_exit(0);
		}
		at_once -= part;
		count -= runs;
	}
	while (wait(&one) > 0)
		status |= one;
	return status != 0;
}
