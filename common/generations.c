/* generations.c - see generations.h. Runs in a parent, which never serves anything itself. */
#define _GNU_SOURCE
#include "generations.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "generation.h"
#include "generations_next.h"
#include "generations_process.h"
#include "generations_state.h"
#include "generations_watch.h"
#include "generations_work.h"
#include "log.h"
#include "process_title.h"

#define YOUNG_US 1000000u /* a process that dies before is started again after a pause only */
#define PAUSE_US 1000000u /* the first pause; each further one is longer by as much */
#define PAUSES_MOST 10u
#define ORPHANS_US 3000000u /* at the end, for processes that have lost their parent */

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void
process_ready(struct work *work, struct process *process)
{
	struct parent *parent = &work->parent;

	if (process->state != PROCESS_STARTING)
		return;
	process->state = PROCESS_SERVING;
	if (process->generation == work->next && generations_process_count(work, work->next, true) == work->what->processes)
		generations_next_take_over(work);
	if (process->generation != parent->current || parent->current_ready ||
	    generations_process_count(work, parent->current, true) < parent->current_count)
		return;
	log_info("%s: generation %" PRIu32 " serves", work->what->name, parent->current);
	parent->current_ready = parent->ever_ready = true;
}

/* A process finishes its work by itself. */
static void
process_leaving(struct work *work, struct process *process)
{
	if (process->state == PROCESS_LEAVING)
		return;
	process->state = PROCESS_LEAVING;
	process->kill_us = clock_us() + generations_process_drain_us(work);
	if (process->generation == work->next)
		generations_next_give_up(work, "ends by itself");
}

/*
 * Reports come from processes that may have been taken over: their size is fixed, and whatever is
 * not known is ignored.
 */
static void
read_report(struct work *work, struct process *process)
{
	struct generation_report report;
	ssize_t n = read(process->report_fd, &report, sizeof report);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(process->report_fd);
		process->report_fd = -1;
	}
	if (n != (ssize_t)sizeof report)
		return;
	if (report.kind == GENERATION_READY)
		process_ready(work, process);
	else if (report.kind == GENERATION_LEAVING)
		process_leaving(work, process);
	else if (report.kind == GENERATION_MOVED)
		process->has_moved = true;
}

static void
describe(int wait_status, char *text, size_t size)
{
	if (WIFSIGNALED(wait_status))
		snprintf(text, size, "signal %d", WTERMSIG(wait_status));
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(wait_status));
}

/* A process of the current generation has died, and nobody had told it to. */
static void
current_died(struct work *work, const struct process *process, const char *how)
{
	bool is_young = process->state == PROCESS_STARTING || clock_us() < process->started_us + YOUNG_US;

	work->failures = is_young ? work->failures + 1 : 0;
	log_warn("%s: process %ld ended (%s); another one is started", work->what->name, (long)process->pid, how);
	if (work->failures > 1)
		work->start_us = clock_us() +
		    (work->failures < PAUSES_MOST ? work->failures - 1 : PAUSES_MOST) * (uint64_t)PAUSE_US;
}

static void
end_all(struct work *work, int with_signal)
{
	uint64_t most_us = with_signal == SIGTERM ? generations_process_drain_us(work) : QUICK_US;

	if (work->stop_signal == 0 && work->what->stop != NULL)
		work->what->stop(work->what->context);
	if (work->stop_signal == 0 && work->parent.listen_fd >= 0) {
		/* Descriptor 0 must not become free. */
		if (work->parent.listen_fd > STDERR_FILENO)
			close(work->parent.listen_fd);
		else
			dup2(STDERR_FILENO, work->parent.listen_fd);
		work->parent.listen_fd = -1;
	}
	work->stop_signal = with_signal;
	for (size_t i = 0; i < work->parent.count; i++)
		generations_process_end(&work->parent.process[i], with_signal, most_us);
}

static void
process_died(struct work *work, size_t index, int wait_status)
{
	struct parent *parent = &work->parent;
	struct process process = parent->process[index];
	char how[32];

	describe(wait_status, how, sizeof how);
	if (process.report_fd >= 0) {
		/* It may have reported just before. */
		if (process.state == PROCESS_STARTING)
			read_report(work, &parent->process[index]);
		process = parent->process[index];
		if (process.report_fd >= 0)
			close(process.report_fd);
	}
	parent->process[index] = parent->process[--parent->count];
	if (process.state == PROCESS_LEAVING) {
		if (wait_status != 0)
			log_warn("%s: process %ld of generation %" PRIu32 " ended (%s)", work->what->name, (long)process.pid,
			    process.generation, how);
	} else if (process.generation == work->next) {
		char why[96];

		snprintf(why, sizeof why, "did not start: process %ld ended (%s), and has said why", (long)process.pid, how);
		generations_next_give_up(work, why);
	} else if (parent->ever_ready) {
		current_died(work, &process, how);
	} else {
		/*
		 * The first start has failed. The supervisor of this parent decides about the next
		 * step.
		 */
		work->status = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) != 0 ? WEXITSTATUS(wait_status) : 1;
		end_all(work, SIGTERM);
	}
	if (!generations_process_is_any_in(work, process.slot) && work->what->ended != NULL)
		work->what->ended(work->what->context, process.slot);
}

/*
 * Reap all children. Some were started by others: processes that lost their parent come to us, and
 * not to pid 1.
 */
static void
reap(struct work *work)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		for (size_t i = 0; i < work->parent.count; i++) {
			if (work->parent.process[i].pid == pid) {
				process_died(work, i, wait_status);
				break;
			}
		}
	}
}

static void
take_signal(struct work *work, int number)
{
	switch (number) {
	case SIGHUP:
		work->wants_next = true;
		work->waits_for_old = false;
		break;
	case SIGTERM:
		end_all(work, work->stop_signal == 0 ? SIGTERM : SIGINT);
		break;
	case SIGINT:
	case SIGQUIT:
		end_all(work, SIGINT);
		break;
	default:
		break; /* SIGCHLD: reap() comes next */
	}
}

/* Tell the processes in service, once, that new work comes to no earlier generation any more. */
static void
tell_alone(const struct work *work)
{
	const struct parent *parent = &work->parent;

	if (work->what->alone_signal == 0 || !parent->current_ready)
		return;
	for (size_t i = 0; i < parent->count; i++) {
		if (parent->process[i].generation < parent->current && !parent->process[i].has_moved)
			return;
	}
	for (size_t i = 0; i < parent->count; i++) {
		struct process *process = &parent->process[i];

		if (process->generation != parent->current || process->state != PROCESS_SERVING || process->told_alone)
			continue;
		kill(process->pid, work->what->alone_signal);
		process->told_alone = true;
	}
}

/* Start the processes of the current generation that are missing. */
static void
replace_missing(struct work *work, uint64_t now_us)
{
	struct parent *parent = &work->parent;

	if (work->stop_signal != 0 || now_us < work->start_us)
		return;
	for (uint32_t have = generations_process_count(work, parent->current, false); have < parent->current_count; have++) {
		if (generations_process_start(work, parent->current, parent->current_slot) != 0) {
			work->start_us = now_us + PAUSE_US;
			return;
		}
	}
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void
keep_time(struct work *work)
{
	uint64_t now_us = clock_us();

	for (size_t i = 0; i < work->parent.count; i++) {
		struct process *process = &work->parent.process[i];

		if (now_us < process->kill_us)
			continue;
		log_warn("%s: process %ld of generation %" PRIu32 " does not end, and is killed", work->what->name,
		    (long)process->pid, process->generation);
		kill(process->pid, SIGKILL);
		process->kill_us = now_us + QUICK_US;
	}
	if (work->next != 0 && now_us >= work->next_fails_us) {
		/*
		 * Where the old generation never was healthy either, the operator wants the new
		 * one.
		 */
		if (work->parent.current_ready)
			generations_next_give_up(work, "did not become healthy in time; the lines before say why");
		else
			generations_next_take_over(work);
	}
	generations_watch_look(work, now_us);
	replace_missing(work, now_us);
	generations_next_begin(work);
}

static uint64_t
earlier(uint64_t a_us, uint64_t b_us)
{
	return a_us < b_us ? a_us : b_us;
}

static int
timeout_ms(const struct work *work)
{
	uint64_t next_us = NEVER_US, now_us = clock_us();

	for (size_t i = 0; i < work->parent.count; i++)
		next_us = earlier(next_us, work->parent.process[i].kill_us);
	if (work->next != 0)
		next_us = earlier(next_us, work->next_fails_us);
	if (work->stop_signal == 0 && work->what->watched_count > 0)
		next_us = earlier(next_us, work->look_us);
	if (work->stop_signal == 0 && generations_process_count(work, work->parent.current, false) < work->parent.current_count)
		next_us = earlier(next_us, work->start_us);
	if (next_us == NEVER_US)
		return -1;
	return next_us <= now_us ? 0 : (int)((next_us - now_us + 999u) / 1000u);
}

/* Wait, and take what has come. */
static void
turn(struct work *work, int signal_fd)
{
	size_t count = work->parent.count;
	struct pollfd *waits = calloc(1 + count, sizeof *waits);
	struct signalfd_siginfo info;

	if (waits == NULL)
		die("out of memory");
	waits[0] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
	for (size_t i = 0; i < count; i++)
		waits[1 + i] = (struct pollfd){ .fd = work->parent.process[i].report_fd, .events = POLLIN };
	if (poll(waits, 1 + count, timeout_ms(work)) < 0 && errno != EINTR)
		die("poll: %s", strerror(errno));
	/* A report may start or end processes, but none of this array is removed before reap(). */
	for (size_t i = 0; i < count; i++) {
		if (waits[1 + i].revents != 0)
			read_report(work, &work->parent.process[i]);
	}
	while (read(signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
		take_signal(work, (int)info.ssi_signo);
	free(waits);
	reap(work);
	tell_alone(work);
}

/*
 * The path by which the program was started, absolute, so that it names the newest program there.
 */
static char *
program_path(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN);
	char directory[PATH_MAX], *absolute;

	if (path == NULL)
		die("the kernel does not tell this program's path");
	if (path[0] == '/')
		absolute = strdup(path);
	else if (getcwd(directory, sizeof directory) == NULL || asprintf(&absolute, "%s/%s", directory, path) < 0)
		absolute = NULL;
	if (absolute == NULL)
		die("find the path of this program: %s", strerror(errno));
	return absolute;
}

static int
open_signals(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &signals, NULL) != 0 || (fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		die("signalfd: %s", strerror(errno));
	return fd;
}

/*
 * Processes that have lost their parent came to us. They would stay as zombies where pid 1 does not
 * reap.
 */
static void
wait_for_orphans(void)
{
	const uint64_t until_us = clock_us() + ORPHANS_US;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0 && clock_us() < until_us) {
		if (pid == 0)
			poll(NULL, 0, 10);
	}
}

bool
generations_continue(void)
{
	return getenv(GENERATIONS_STATE) != NULL;
}

bool
generations_can_continue(const char *format)
{
	return strtoul(format, NULL, 10) == GENERATIONS_FORMAT;
}

int
generations_run(const struct generations *what)
{
	struct work work = { .what = what };
	struct parent *parent = &work.parent;
	int signal_fd = open_signals();

	process_title_set("%s parent", what->name);
	signal(SIGPIPE, SIG_IGN);
	/* Orphans of our processes are reaped here, also where pid 1 reaps nobody. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		die("become the parent of orphans: %s", strerror(errno));
	generations_watch_begin(&work, clock_us());
	if (generations_continue()) {
		close(signal_fd);
		generations_state_load(parent);
		signal_fd = open_signals();
		generations_next_start(&work);
	} else {
		*parent = (struct parent){ .path = program_path(),
			.listen_fd = what->listen_fd,
			.last = 1,
			.current = 1,
			.current_count = what->processes };
	}
	while (work.stop_signal == 0 || parent->count > 0) {
		keep_time(&work);
		turn(&work, signal_fd);
	}
	wait_for_orphans();
	free(parent->process);
	free(parent->path);
	return work.status;
}
