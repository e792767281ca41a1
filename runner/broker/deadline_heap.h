/*
 * deadline_heap.h - the runs of the queue by their deadlines: the earliest one is found at once,
 * and any of them is taken out in few steps.
 */
#ifndef CELLBLOCK_DEADLINE_HEAP_H
#define CELLBLOCK_DEADLINE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct run;

/* run->heap_at is the index of a run. No run is due before its parent, at (index - 1) / 2. */
struct deadline_heap {
	struct run **run;
	uint32_t count;
};

/* Make room for `most` runs. Dies if there is no memory for that. */
void deadline_heap_init(struct deadline_heap *heap, uint32_t most);

void deadline_heap_free(struct deadline_heap *heap);

/* The run that is due first, or NULL. */
static inline struct run *
deadline_heap_first(const struct deadline_heap *heap)
{
	return heap->count == 0 ? NULL : heap->run[0];
}

/* Put a run in, by its deadline_us. There is room for it. */
void deadline_heap_add(struct deadline_heap *heap, struct run *run);

/* Take a run out. */
void deadline_heap_remove(struct deadline_heap *heap, struct run *run);

#endif
