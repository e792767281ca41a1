/*
 * background.h - making cells in what the runs leave of the CPU.
 *
 * A client that waits for its answer must not wait behind the making of cells for requests to come. While enough cells
 * are armed, wardens and zygotes work under SCHED_IDLE, which gives way at once to whoever else wants the CPU. When
 * cells run short they are on a par with the runs: a full machine would else never get new ones.
 */
#ifndef CELLBLOCK_BACKGROUND_H
#define CELLBLOCK_BACKGROUND_H

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>

/* The RLIMIT_NICE that lets a process leave SCHED_IDLE again, for nice 0 and no better. */
#define BACKGROUND_NICE_RLIMIT 20

/* May this process, and so its children, come back from the background? */
static inline bool
background_is_possible(void)
{
	struct rlimit nice;

	return getrlimit(RLIMIT_NICE, &nice) == 0 && nice.rlim_cur >= BACKGROUND_NICE_RLIMIT;
}

/* Go into the background, or come back. */
static inline void
background_set(bool background)
{
	static bool now;
	const struct sched_param none = { 0 };

	if (background != now && sched_setscheduler(0, background ? SCHED_IDLE : SCHED_OTHER, &none) == 0)
		now = background;
}

#endif
