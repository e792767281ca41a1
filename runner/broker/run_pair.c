/* run_pair.c - see run_pair.h. Runs in the broker. */
#include "broker/run_pair.h"

#include <stddef.h>

#include "broker/run_queue.h"

uint32_t
run_pair_cells(const struct run *run)
{
	return run->partner == NULL ? 1 : 2;
}

uint64_t
run_pair_memory_bytes(const struct run *run)
{
	return run->limits.memory_bytes + (run->partner == NULL ? 0 : run->partner->limits.memory_bytes);
}

struct run *
run_pair_find(const struct run_queue *queue, const struct run *run)
{
	struct run *other;

	if (run->pair == 0)
		return NULL;
	TAILQ_FOREACH(other, &queue->held, in_list) {
		if (other->pair == run->pair && other->account == run->account && other->partner == NULL)
			return other;
	}
	return NULL;
}

void
run_pair_hold(struct run_queue *queue, struct run *run)
{
	run->place = PLACE_HELD;
	TAILQ_INSERT_TAIL(&queue->held, run, in_list);
}

void
run_pair_unhold(struct run_queue *queue, struct run *run)
{
	TAILQ_REMOVE(&queue->held, run, in_list);
	run->place = PLACE_NONE;
}

void
run_pair_part(struct run *run)
{
	if (run->partner != NULL)
		run->partner->partner = NULL;
	run->partner = NULL;
}
