/* generations.c - see generations.h. Runs in a parent, which never serves anything itself. */
#define _GNU_SOURCE
#include "generations.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "generation.h"
#include "generations_state.h"
#include "log.h"
#include "process_title.h"

#define NEVER_US UINT64_MAX
#define START_MOST_US 60000000u /* until a new generation must be ready */
#define GRACE_US 10000000u      /* for a process to end by itself, on top of the time for its work */
#define QUICK_US 5000000u       /* the same, where it is not to wait for its work */
#define YOUNG_US 1000000u       /* a process that dies before is started again after a pause only */
#define PAUSE_US 1000000u       /* the first pause; each further one is longer by as much */
#define PAUSES_MOST 10u
#define WATCH_US 2000000u        /* between two looks at the watched files */
#define WATCH_PAUSE_US 10000000u /* between two generations that a watched file asks for */
#define ORPHANS_US 3000000u      /* at the end, for processes that have lost their parent */
#define TRIAL_S 10               /* for the new program to say that it can continue */

/* A parent at work. */
struct work {
	const struct generations *what;
	struct parent parent;
	uint32_t next; /* the generation that is being started to replace the current one; 0: none */
	uint32_t next_slot;
	uint64_t next_fails_us;
	bool wants_next;    /* a reload was asked for, and has not begun */
	bool waits_for_old; /* the log says so */
	unsigned failures;  /* young deaths in a row */
	uint64_t start_us;  /* when processes of the current generation may be started */
	int stop_signal;    /* 0: no stop; else what the processes were sent */
	int status;
	uint64_t look_us;    /* at the watched files */
	uint64_t changed_us; /* when a watched file was last seen to change; 0: no change is open */
	uint64_t fingerprint;
	uint64_t watch_reload_us; /* the last time that they asked for a generation */
};

/* ---- processes --------------------------------------------------------------------------------------------------- */

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

/* Returns 0, or -1 with a line in the log. */
static int
start_process(struct work *work, uint32_t number, uint32_t slot)
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

static bool
is_any_in(const struct work *work, uint32_t slot)
{
	for (size_t i = 0; i < work->parent.count; i++) {
		if (work->parent.process[i].slot == slot)
			return true;
	}
	return false;
}

static uint32_t
free_slot(const struct work *work)
{
	uint32_t slot = 0;

	while (is_any_in(work, slot))
		slot++;
	return slot;
}

/* The processes of a generation that are not about to end; `ready`: those alone that are ready. */
static uint32_t
count_of(const struct work *work, uint32_t number, bool ready)
{
	uint32_t count = 0;

	for (size_t i = 0; i < work->parent.count; i++) {
		const struct process *process = &work->parent.process[i];

		count += process->generation == number &&
		    (process->state == PROCESS_SERVING || (!ready && process->state == PROCESS_STARTING));
	}
	return count;
}

/* The number of generations that live. */
static uint32_t
generations_alive(const struct work *work)
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

/* Have a process end. It is killed if it has not ended after `most_us`. */
static void
end_process(struct process *process, int with_signal, uint64_t most_us)
{
	process->state = PROCESS_LEAVING;
	process->kill_us = clock_us() + most_us;
	kill(process->pid, with_signal);
}

static void
end_generation(struct work *work, uint32_t number, int with_signal, uint64_t most_us)
{
	for (size_t i = 0; i < work->parent.count; i++) {
		struct process *process = &work->parent.process[i];

		if (process->generation == number && process->state != PROCESS_LEAVING)
			end_process(process, with_signal, most_us);
	}
}

static uint64_t
drain_us(const struct work *work)
{
	return work->what->drain_ms * 1000u + GRACE_US;
}

/* ---- a new generation -------------------------------------------------------------------------------------------- */

/* The new generation is ready: the old one finishes its work. */
static void
take_over(struct work *work)
{
	struct parent *parent = &work->parent;

	log_info("%s: generation %" PRIu32 " serves; generation %" PRIu32 " finishes its work and ends", work->what->name,
	    work->next, parent->current);
	end_generation(work, parent->current, work->what->moved_signal, drain_us(work));
	parent->current = work->next;
	parent->current_slot = work->next_slot;
	parent->current_count = work->what->processes;
	parent->current_ready = true;
	work->next = 0;
	work->failures = 0;
	work->start_us = 0;
}

/* The new generation does not become ready: the old one stays. */
static void
give_up(struct work *work, const char *why)
{
	log_warn("%s: generation %" PRIu32 " %s; generation %" PRIu32 " stays in service", work->what->name, work->next, why,
	    work->parent.current);
	end_generation(work, work->next, SIGTERM, QUICK_US);
	work->next = 0;
}

/* Returns whether the program on the disk can continue this parent's work. */
static bool
is_program_fit(const struct work *work)
{
	char format[16];
	char *argv[] = { work->parent.path, (char *)"--can-continue", format, NULL };
	int status = -1;
	sigset_t none;
	pid_t pid;

	snprintf(format, sizeof format, "%u", GENERATIONS_FORMAT);
	pid = fork();
	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		alarm(TRIAL_S);
		execv(argv[0], argv);
		log_warn("execute %s: %s", argv[0], strerror(errno));
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid > 0 && status == 0;
}

/*
 * Execute the program on the disk in the place of this one. It starts the new generation. Returns
 * only if that fails, with a line in the log.
 */
static void
execute_anew(struct work *work)
{
	if (!is_program_fit(work)) {
		log_warn("%s: %s cannot continue the work of this parent, which takes a restart; generation %" PRIu32
		         " stays in service",
		    work->what->name, work->parent.path, work->parent.current);
		return;
	}
	if (generations_state_save(&work->parent) == 0)
		execv(work->parent.path, work->what->argv);
	log_warn("%s: execute %s: %s; generation %" PRIu32 " stays in service", work->what->name, work->parent.path,
	    strerror(errno), work->parent.current);
	unsetenv(GENERATIONS_STATE);
}

static void
start_next(struct work *work)
{
	struct parent *parent = &work->parent;

	if (work->what->processes == 0) {
		log_warn("%s: no new generation; generation %" PRIu32 " stays in service", work->what->name, parent->current);
		return;
	}
	work->next = ++parent->last;
	work->next_slot = free_slot(work);
	work->next_fails_us = clock_us() + START_MOST_US;
	log_info("%s: starting generation %" PRIu32 "; generation %" PRIu32 " serves until it is ready", work->what->name,
	    work->next, parent->current);
	for (uint32_t i = 0; i < work->what->processes; i++) {
		if (start_process(work, work->next, work->next_slot) != 0) {
			give_up(work, "could not be started");
			return;
		}
	}
}

/* Begin the reload that was asked for, unless it has to wait. */
static void
begin_reload(struct work *work)
{
	if (!work->wants_next || work->next != 0 || work->stop_signal != 0)
		return;
	if (generations_alive(work) >= work->what->most) {
		if (!work->waits_for_old)
			log_info("%s: a new generation is started as soon as an earlier one has finished its work",
			    work->what->name);
		work->waits_for_old = true;
		return;
	}
	work->wants_next = work->waits_for_old = false;
	execute_anew(work);
}

/* Start the processes of the current generation that are missing. */
static void
replace_missing(struct work *work, uint64_t now_us)
{
	struct parent *parent = &work->parent;

	if (work->stop_signal != 0 || now_us < work->start_us)
		return;
	for (uint32_t have = count_of(work, parent->current, false); have < parent->current_count; have++) {
		if (start_process(work, parent->current, parent->current_slot) != 0) {
			work->start_us = now_us + PAUSE_US;
			return;
		}
	}
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void
process_ready(struct work *work, struct process *process)
{
	struct parent *parent = &work->parent;

	if (process->state != PROCESS_STARTING)
		return;
	process->state = PROCESS_SERVING;
	if (process->generation == work->next && count_of(work, work->next, true) == work->what->processes)
		take_over(work);
	if (process->generation != parent->current || parent->current_ready ||
	    count_of(work, parent->current, true) < parent->current_count)
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
	process->kill_us = clock_us() + drain_us(work);
	if (process->generation == work->next)
		give_up(work, "ends by itself");
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
	uint64_t most_us = with_signal == SIGTERM ? drain_us(work) : QUICK_US;

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
		end_process(&work->parent.process[i], with_signal, most_us);
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
		give_up(work, why);
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
	if (!is_any_in(work, process.slot) && work->what->ended != NULL)
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

/* ---- watched files ----------------------------------------------------------------------------------------------- */

static uint64_t
mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++, value >>= 8)
		hash = (hash ^ (value & 0xff)) * 1099511628211u;
	return hash;
}

/*
 * A number that changes when one of the watched files appears, vanishes, is replaced or is written.
 */
static uint64_t
look_at_files(const struct generations *what)
{
	uint64_t hash = 14695981039346656037u;
	struct stat st;

	for (size_t i = 0; i < what->watched_count; i++) {
		bool is_there = stat(what->watched[i], &st) == 0;

		hash = mix(hash, is_there);
		if (is_there)
			hash = mix(mix(mix(mix(hash, st.st_dev), st.st_ino), (uint64_t)st.st_mtim.tv_sec),
			    (uint64_t)st.st_mtim.tv_nsec);
	}
	return hash;
}

/*
 * Ask for a new generation when a watched file has changed and all have been quiet for one look: an
 * installation takes a while.
 */
static void
watch(struct work *work, uint64_t now_us)
{
	uint64_t seen;

	if (work->what->watched_count == 0 || now_us < work->look_us || work->stop_signal != 0)
		return;
	work->look_us = now_us + WATCH_US;
	seen = look_at_files(work->what);
	if (seen != work->fingerprint) {
		work->fingerprint = seen;
		work->changed_us = now_us;
	} else if (work->changed_us != 0 && now_us >= work->watch_reload_us + WATCH_PAUSE_US) {
		work->changed_us = 0;
		work->watch_reload_us = now_us;
		log_info("%s: the program of a language, or its set of packages, has changed", work->what->name);
		work->wants_next = true;
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
			give_up(work, "did not become healthy in time; the lines before say why");
		else
			take_over(work);
	}
	watch(work, now_us);
	replace_missing(work, now_us);
	begin_reload(work);
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
	if (work->stop_signal == 0 && count_of(work, work->parent.current, false) < work->parent.current_count)
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
	work.fingerprint = look_at_files(what);
	work.look_us = clock_us() + WATCH_US;
	if (generations_continue()) {
		close(signal_fd);
		generations_state_load(parent);
		signal_fd = open_signals();
		start_next(&work);
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
	return work.status;
}
