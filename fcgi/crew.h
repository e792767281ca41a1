/*
 * crew.h - the idle threads of a worker process help one that has much to do.
 *
 * A thread offers work. Threads that wait for requests take part in it, each with its own
 * connection to the runner, and wait for requests again when there is no more of it. The one that
 * offers does its own part, so nothing depends on a helper being there.
 */
#ifndef CELLBLOCK_CREW_H
#define CELLBLOCK_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto.h"

struct worker;

#define CREW_LINKS PROTO_MORE_CONNECTIONS

/* Work that several threads do. It is a member of something larger. */
struct crew_work {
	/* Do as much of it as there is, in a thread of its own. */
	void (*perform)(struct crew_work *work, struct worker *worker);
	uint32_t wanted;  /* helpers that may still join */
	uint32_t helpers; /* that are at it */
	TAILQ_ENTRY(crew_work) in_list;
};

struct crew {
	pthread_mutex_t lock;
	pthread_cond_t left;                     /* a helper has left its work */
	TAILQ_HEAD(crew_works, crew_work) works; /* that want helpers */
	int call_fd;                             /* can be read when there may be work; a thread that waits watches it */
	uint32_t idle_most;                      /* helpers at the same time: some threads are left for requests */
	uint32_t helpers;                        /* of all works */
	uint32_t links;                          /* of CREW_LINKS, that are free */
};

/* Prepare the crew of a process of `threads` threads. Dies if that is not possible. */
void crew_init(struct crew *crew, uint32_t threads);

/* Call for up to `wanted` helpers. */
void crew_offer(struct crew *crew, struct crew_work *work, uint32_t wanted);

/* Take the work back, and wait until the last helper has left it. */
void crew_withdraw(struct crew *crew, struct crew_work *work);

/* call_fd can be read: help, if anybody wants help. Returns when there is no more to do. */
void crew_help(struct crew *crew, struct worker *worker);

/* Whether one more connection to the runner may be made. The caller gives it back. */
bool crew_take_link(struct crew *crew);
void crew_give_link(struct crew *crew);

#endif
