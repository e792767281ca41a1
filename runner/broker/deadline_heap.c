/* deadline_heap.c - see deadline_heap.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/deadline_heap.h"

#include <stdlib.h>

#include "broker/run.h"
#include "log.h"

void
deadline_heap_init(struct deadline_heap *heap, uint32_t most)
{
	*heap = (struct deadline_heap){ .run = calloc(most, sizeof *heap->run) };
	if (heap->run == NULL)
		die("out of memory");
}

void
deadline_heap_free(struct deadline_heap *heap)
{
	free(heap->run);
	*heap = (struct deadline_heap){ .run = NULL };
}

static void
put(struct deadline_heap *heap, uint32_t at, struct run *run)
{
	heap->run[at] = run;
	run->heap_at = at;
}

/* Put a run at `at`, or where it belongs above that. */
static void
rise(struct deadline_heap *heap, uint32_t at, struct run *run)
{
	while (at > 0 && run->deadline_us < heap->run[(at - 1) / 2]->deadline_us) {
		put(heap, at, heap->run[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(heap, at, run);
}

/* The same below. */
static void
sink(struct deadline_heap *heap, uint32_t at, struct run *run)
{
	for (uint32_t child; (child = 2 * at + 1) < heap->count; at = child) {
		if (child + 1 < heap->count && heap->run[child + 1]->deadline_us < heap->run[child]->deadline_us)
			child++;
		if (run->deadline_us <= heap->run[child]->deadline_us)
			break;
		put(heap, at, heap->run[child]);
	}
	put(heap, at, run);
}

void
deadline_heap_add(struct deadline_heap *heap, struct run *run)
{
	rise(heap, heap->count++, run);
}

void
deadline_heap_remove(struct deadline_heap *heap, struct run *run)
{
	struct run *last = heap->run[--heap->count];
	uint32_t at = run->heap_at;

	if (last == run)
		return;
	if (at > 0 && last->deadline_us < heap->run[(at - 1) / 2]->deadline_us)
		rise(heap, at, last);
	else
		sink(heap, at, last);
}
