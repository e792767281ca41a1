/* dispatch.h - which run gets which cell, and which cells are armed. */
#ifndef CELLBLOCK_DISPATCH_H
#define CELLBLOCK_DISPATCH_H

#include <stdint.h>

struct broker;
struct language;
struct pool;

/*
 * Give waiting runs to armed cells, test new zygotes, and arm what is wanted. Called by the loop
 * once a turn.
 */
void dispatch(struct broker *broker);

/*
 * The most cells that a pool keeps, with those of runs that are expected to leave them in order:
 * what it keeps ready, one for each run that waits, and as many as were in use at once lately.
 */
uint32_t dispatch_most_cells(struct language *language, uint32_t pool);

/* Another run has begun that is expected to leave its cell in order. */
void dispatch_count_demand(struct broker *broker, struct pool *pool, uint64_t now_us);

/* Give up cells that pools have kept and need no more. Returns when to look again. */
uint64_t dispatch_keep_time(struct broker *broker, uint64_t now_us);

#endif
