/*
 * loop.h - requests to the broker's loop (serve.c): to watch a descriptor, to wake up, to dispatch.
 *
 * A handler changes its own subject and says here that something has changed. It never calls the
 * dispatcher: the loop does that, once a turn.
 */
#ifndef CELLBLOCK_LOOP_H
#define CELLBLOCK_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/poller.h"

#define NEVER_US UINT64_MAX

struct loop {
	struct poller poller; /* the context of its handlers is the struct broker */
	uint64_t wake_us;     /* when the next deadline is due, by clock_us */
	bool want_dispatch;
};

/* Have the loop look at deadlines at `at_us` or earlier. */
static inline void
loop_wake_at(struct loop *loop, uint64_t at_us)
{
	if (at_us < loop->wake_us)
		loop->wake_us = at_us;
}

/* Have the loop dispatch before it waits: a run, a cell or a zygote has changed. */
static inline void
loop_dispatch(struct loop *loop)
{
	loop->want_dispatch = true;
}

/*
 * Call `ready` when `fd` can be read or hangs up. The watch owns `fd` from then on. Returns 0, or
 * -1 with errno.
 */
static inline int
loop_watch(struct loop *loop, struct watch *watch, int fd, watch_ready *ready)
{
	return poller_add(&loop->poller, watch, fd, EPOLLIN, ready);
}

/* Stop watching, and close the descriptor, if there is one. */
static inline void
loop_unwatch(struct loop *loop, struct watch *watch)
{
	poller_close(&loop->poller, watch);
}

/* The earlier of two times. */
static inline uint64_t
earlier_us(uint64_t a_us, uint64_t b_us)
{
	return a_us < b_us ? a_us : b_us;
}

#endif
