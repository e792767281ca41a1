/* generations_process.c - see generations_process.h. Runs in a parent. */
#define _GNU_SOURCE
#include "generations_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.h"
#include "generation.h"
#include "generations_state.h"
#include "log.h"

#define GRACE_US 10000000u /* for a process to end by itself, on top of the time for its work */

/* In a child: become a process of a generation. */
static void __attribute__((noreturn)) become_process(const struct work *work, uint32_t number, uint32_t slot, int report_fd)
{
	const struct parent *parent = &work->parent;
	bool replaces = number != parent->current;
	sigset_t none;
	char text[64];
	int listen_fd = parent->listen_fd, pipe_fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Both may have a number that the other one is to get. */
	pipe_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, GENERATION_LISTEN_FD + 1);
	if (listen_fd > STDERR_FILENO)
		listen_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, GENERATION_LISTEN_FD + 1);
	if (pipe_fd < 0 || listen_fd < 0 || dup2(pipe_fd, GENERATION_REPORT_FD) < 0 ||
	    (listen_fd > STDERR_FILENO && dup2(listen_fd, GENERATION_LISTEN_FD) < 0))
		die("give a process its descriptors: %s", strerror(errno));
	snprintf(text, sizeof text, "%" PRIu32 " %" PRIu32 " %u", number, slot, (unsigned)replaces);
	if (setenv(GENERATIONS_CHILD, text, 1) != 0)
		die("out of memory");
	unsetenv("NOTIFY_SOCKET");
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(parent->path, work->what->argv);
	die("execute %s: %s", parent->path, strerror(errno));
}

int
generations_process_start(struct work *work, uint32_t number, uint32_t slot)
{
	struct process process = { .generation = number, .slot = slot, .started_us = clock_us(), .kill_us = NEVER_US };
	int report[2];

	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0) {
		log_warn("start a process: %s", strerror(errno));
		return -1;
	}
	process.pid = fork();
	if (process.pid == 0) {
		fcntl(report[1], F_SETFL, 0);
		become_process(work, number, slot, report[1]);
	}
	close(report[1]);
	process.report_fd = report[0];
	if (process.pid < 0) {
		log_warn("start a process: %s", strerror(errno));
		close(report[0]);
		return -1;
	}
	generations_state_add(&work->parent, &process);
	return 0;
}

bool
generations_process_is_any_in(const struct work *work, uint32_t slot)
{
	for (size_t i = 0; i < work->parent.count; i++) {
		if (work->parent.process[i].slot == slot)
			return true;
	}
	return false;
}

uint32_t
generations_process_count(const struct work *work, uint32_t number, bool ready)
{
	uint32_t count = 0;

	for (size_t i = 0; i < work->parent.count; i++) {
		const struct process *process = &work->parent.process[i];

		count += process->generation == number &&
		    (process->state == PROCESS_SERVING || (!ready && process->state == PROCESS_STARTING));
	}
	return count;
}

uint32_t
generations_process_generations(const struct work *work)
{
	uint32_t count = 0;

	for (size_t i = 0; i < work->parent.count; i++) {
		bool is_first = true;

		for (size_t earlier = 0; earlier < i; earlier++)
			is_first = is_first && work->parent.process[earlier].generation != work->parent.process[i].generation;
		count += is_first;
	}
	return count;
}

void
generations_process_end(struct process *process, int with_signal, uint64_t most_us)
{
	process->state = PROCESS_LEAVING;
	process->kill_us = clock_us() + most_us;
	kill(process->pid, with_signal);
}

void
generations_process_end_all(struct work *work, uint32_t number, int with_signal, uint64_t most_us)
{
	for (size_t i = 0; i < work->parent.count; i++) {
		struct process *process = &work->parent.process[i];

		if (process->generation == number && process->state != PROCESS_LEAVING)
			generations_process_end(process, with_signal, most_us);
	}
}

uint64_t
generations_process_drain_us(const struct work *work)
{
	return work->what->drain_ms * 1000u + GRACE_US;
}
