/* generations_next.c - see generations_next.h. Runs in a parent. */
#define _GNU_SOURCE
#include "generations_next.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "generations_process.h"
#include "generations_state.h"
#include "log.h"

#define START_MOST_US 60000000u /* until a new generation must be ready */
#define TRIAL_S 10              /* for the new program to say that it can continue */

static uint32_t
free_slot(const struct work *work)
{
	uint32_t slot = 0;

	while (generations_process_is_any_in(work, slot))
		slot++;
	return slot;
}

void
generations_next_take_over(struct work *work)
{
	struct parent *parent = &work->parent;

	log_info("%s: generation %" PRIu32 " serves; generation %" PRIu32 " finishes its work and ends", work->what->name,
	    work->next, parent->current);
	generations_process_end_all(work, parent->current, work->what->moved_signal, generations_process_drain_us(work));
	parent->current = work->next;
	parent->current_slot = work->next_slot;
	parent->current_count = work->what->processes;
	parent->current_ready = true;
	work->next = 0;
	work->failures = 0;
	work->start_us = 0;
}

void
generations_next_give_up(struct work *work, const char *why)
{
	log_warn("%s: generation %" PRIu32 " %s; generation %" PRIu32 " stays in service", work->what->name, work->next, why,
	    work->parent.current);
	generations_process_end_all(work, work->next, SIGTERM, QUICK_US);
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

void
generations_next_start(struct work *work)
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
		if (generations_process_start(work, work->next, work->next_slot) != 0) {
			generations_next_give_up(work, "could not be started");
			return;
		}
	}
}

void
generations_next_begin(struct work *work)
{
	if (!work->wants_next || work->next != 0 || work->stop_signal != 0)
		return;
	if (generations_process_generations(work) >= work->what->most) {
		if (!work->waits_for_old)
			log_info("%s: a new generation is started as soon as an earlier one has finished its work",
			    work->what->name);
		work->waits_for_old = true;
		return;
	}
	work->wants_next = work->waits_for_old = false;
	execute_anew(work);
}
