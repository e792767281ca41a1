/*
 * run_pair.h - the two runs of a pair, in the queue (run_queue.h). The first of them that comes is
 * held until the other one is there.
 */
#ifndef CELLBLOCK_RUN_PAIR_H
#define CELLBLOCK_RUN_PAIR_H

#include <stdint.h>

#include "broker/run.h"

struct run_queue;

/* The cells that the run needs, with its partner's. */
uint32_t run_pair_cells(const struct run *run);

/* The memory that the run may use, with its partner's. */
uint64_t run_pair_memory_bytes(const struct run *run);

/* The held run of the same key that waits for this one, or NULL. */
struct run *run_pair_find(const struct run_queue *queue, const struct run *run);

void run_pair_hold(struct run_queue *queue, struct run *run);
void run_pair_unhold(struct run_queue *queue, struct run *run);

/*
 * The two are no pair any more. One that is held stays so until it is cancelled, or its deadline
 * comes.
 */
void run_pair_part(struct run *run);

#endif
