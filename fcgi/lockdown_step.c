/* lockdown_step.c - see lockdown_step.h. */
#define _GNU_SOURCE
#include "lockdown_step.h"

#include "lockdown.h"

int
lockdown_step_init(struct lockdown_step *step, unsigned threads)
{
	return pthread_barrier_init(&step->barrier, NULL, threads + 1);
}

void
lockdown_step_pass(struct lockdown_step *step)
{
	pthread_barrier_wait(&step->barrier);
	pthread_barrier_wait(&step->barrier);
	lockdown_verify();
}

void
lockdown_step_await(struct lockdown_step *step)
{
	pthread_barrier_wait(&step->barrier);
}

void
lockdown_step_release(struct lockdown_step *step)
{
	lockdown_verify();
	pthread_barrier_wait(&step->barrier);
}
