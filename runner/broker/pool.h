/*
 * pool.h - the cells of one language that are made alike: the same warm set, the same grant.
 *
 * The pool of kind k and grant g (enum policy_grant) is number k * GRANT_COUNT + g. The kinds are
 * the warm sets of the language. There may be one more kind: cells whose interpreter has not been
 * started, for runs with arguments or environment that an interpreter takes only when it starts.
 */
#ifndef CELLBLOCK_POOL_H
#define CELLBLOCK_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/demand.h"
#include "broker/failure.h"
#include "broker/rehearsal.h"
#include "broker/run.h"

struct broker;
struct cell;
struct language;

struct pool {
	bool is_wanted;     /* its zygotes run, or are to run */
	struct cell *armed; /* list; the last one armed first */
	uint32_t armed_count;
	uint32_t arming_count;
	uint32_t returning;       /* cells whose run is expected to leave them in order */
	struct run_list parked;   /* runs that wait until it is served; see run_queue.h */
	struct run_list admitted; /* runs that are to have its next armed cells */
	uint32_t queued;          /* the number of these */
	uint32_t turn;            /* its zygotes take turns: the number of the next one */
	unsigned failures;        /* to make a cell, in a row */
	uint64_t retry_us;        /* no cell is made before; 0: no failure */
	uint64_t made_us;         /* when its last cell was made */
	struct demand demand;     /* of runs that are expected to leave their cells in order */
	struct rehearsal rehearsal;
};

/* Whether its cells could not be made, and it is too early to try again. */
bool pool_backs_off(const struct pool *pool);

/* Whether it has failed so often that runs are not kept waiting for it (about a second). */
bool pool_is_broken(const struct pool *pool);

/* Whether it has failed often enough to be reported by /health. */
bool pool_is_ailing(const struct pool *pool);

/*
 * One of its cells could not be made. Back off, log it (once for each row of failures), and refuse
 * the runs that wait for it if it is broken.
 */
void pool_failed(struct broker *broker, struct language *language, struct pool *pool, struct failure failure);

/* One of its cells was made. */
void pool_recovered(struct pool *pool);

#endif
