/*
 * stall.h - the time for which a run could have gone on, and waited for a processor instead.
 *
 * The kernel counts for each thread how long it ran and how long it waited to run (schedstat in
 * /proc). A thread also waits while others of its own run have the processor, and while the run has
 * used up its share of processor time. Neither is the service's fault: see stall_of.
 */
#ifndef CELLBLOCK_STALL_H
#define CELLBLOCK_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct broker;
struct cell;

/*
 * The thread of a run that has run and waited for a processor for the most time: of the guest and
 * its descendants, at most STALL_THREADS of them. Threads that have ended do not count.
 */
struct busiest {
	uint64_t us;      /* that time; the kernel adds a wait when it ends. 0: not known */
	bool is_runnable; /* it runs, or waits for a processor, now */
};

#define STALL_THREADS 32

/* Find it. Makes some ten system calls, and some more for each thread. */
struct busiest stall_find_busiest(const struct broker *broker, const struct cell *cell);

/*
 * The time that a run has lost, in us. `busiest_us`: of stall_find_busiest. `cpu_us`: the processor
 * time of all that was ever in the run, read after that. `cpu_percent`: the run's share of one
 * processor; 0: it has no limit.
 *
 * The busiest thread waited for others of the run at most while those ran. And it waited for the
 * run's share to be renewed at most as long as the run takes to use all it used. So what is left is
 * the fault of others, and never more than a wall clock has lost.
 */
uint64_t stall_of(uint64_t busiest_us, uint64_t cpu_us, uint32_t cpu_percent);

#endif
