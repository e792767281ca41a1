/*
 * lockdown_step.h - the threads of a process are confined together.
 *
 * A thread makes system calls of its own when it begins, which the policy does not allow. So all
 * have begun before they are confined, and none serves before:
 *
 *     first thread                       each other thread
 *     lockdown_begin
 *     start the others
 *     lockdown_step_await                lockdown_step_pass
 *     lockdown_complete
 *     lockdown_step_release              (returns)
 */
#ifndef CELLBLOCK_LOCKDOWN_STEP_H
#define CELLBLOCK_LOCKDOWN_STEP_H

#include <pthread.h>

struct lockdown_step {
	pthread_barrier_t barrier; /* passed when all threads are there, and again when they are confined */
};

/* `threads`: besides the first one. Returns 0, or an error number. */
int lockdown_step_init(struct lockdown_step *step, unsigned threads);

/* In each thread but the first: wait until it is confined. Dies if it is not. */
void lockdown_step_pass(struct lockdown_step *step);

/* In the first thread: wait until all others have begun. */
void lockdown_step_await(struct lockdown_step *step);

/* In the first thread, which has confined all of them: let the others go on. */
void lockdown_step_release(struct lockdown_step *step);

#endif
