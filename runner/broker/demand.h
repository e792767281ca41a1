/*
 * demand.h - how many runs of a pool were under way at once lately: so many cells may come back.
 *
 * With several clients the number of running cells goes up and down by some, many times a second.
 * If a pool kept only what it keeps at rest, it would make cells and unmake others all the time.
 */
#ifndef CELLBLOCK_DEMAND_H
#define CELLBLOCK_DEMAND_H

#include <stdint.h>

/* Of one pool. Zeros at its start. */
struct demand {
	uint32_t most;      /* in this period */
	uint32_t most_last; /* in the one before */
	uint64_t until_us;  /* the end of this period */
};

/* So many runs are under way now. */
void demand_count(struct demand *demand, uint64_t now_us, uint32_t runs);

/* The most that were under way at once in this period and in the one before. */
uint32_t demand_most(struct demand *demand, uint64_t now_us);

/* When that may become less; NEVER_US if it is 0. */
uint64_t demand_next_us(const struct demand *demand);

#endif
