/*
 * queue_world.h - a world for broker/run_queue.c: cells that are always armed take the place of the
 * dispatcher, and the time is a number.
 */
#ifndef CELLBLOCK_QUEUE_WORLD_H
#define CELLBLOCK_QUEUE_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "broker/broker.h"
#include "broker/language.h"

#define RUNS 4096
#define CELLS 32
#define MIB (UINT64_C(1) << 20)

extern struct queue_world {
	struct broker broker;
	struct config config;
	struct language_config from;
	struct language languages[2];
	struct zygote zygotes[2];
	struct run runs[RUNS];
	struct run_charge charges[RUNS]; /* of the cell of a run that has started */
	size_t run_count;
	uint64_t now_us;
	uint32_t pair; /* of the runs that are offered next; 0: they are alone */

	/* The fate of a run. */
	struct fate {
		enum { NOTHING, STARTED, REFUSED } what;
		enum refusal refusal;
		uint32_t retry_ms;
		uint64_t at_us;
	} fates[RUNS];
	size_t started[RUNS]; /* numbers of runs, in the order of their starts */
	size_t started_count;
} world;

/* For cmocka: an empty world, and its end. */
int queue_world_set_up(void **state);
int queue_world_tear_down(void **state);

/* The share of a key, any number of whose runs may wait. */
struct run_share queue_world_share(const char *name, uint32_t weight);

/* Offer a run. Returns its number. */
size_t queue_world_offer(const struct run_share *share, size_t language, uint64_t memory_bytes, uint64_t queue_ms,
    uint64_t waited_us);

/* The same, of 1 MiB and with the configured time in the queue. */
size_t queue_world_offer_small(const char *name, uint32_t weight);

/* As the dispatcher does, where every cell is armed. Returns how many runs have started. */
size_t queue_world_dispatch(void);

/* A run that has started ends, and its cell is free. */
void queue_world_end(size_t number);

/*
 * How many of the last `count` runs that have started are of the key whose runs are of[first] and
 * later.
 */
size_t queue_world_of_key(const size_t *of, size_t first, size_t count);

#endif
