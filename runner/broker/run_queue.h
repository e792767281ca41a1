/* run_queue.h - the runs that wait for a cell, first come, first served. */
#ifndef CELLBLOCK_RUN_QUEUE_H
#define CELLBLOCK_RUN_QUEUE_H

#include <stdint.h>

#include "broker/run.h"

struct pool;

struct run_queue {
	struct run *first, **tail;
	uint32_t count;
};

void run_queue_init(struct run_queue *queue);

/* Put a run at the end, where it waits from now on. */
void run_queue_add(struct broker *broker, struct run *run);

/* Put a run that was taken out back to its place, which is that of its time. */
void run_queue_restore(struct broker *broker, struct run *run);

/* Take a run out, wherever it is. */
void run_queue_remove(struct broker *broker, struct run *run);

/*
 * Refuse the runs that wait for a language, or for one pool of it; all where `language` is NULL. As
 * run_refuse.
 */
void run_queue_refuse(struct broker *broker, const struct language *language, const struct pool *pool, enum refusal refusal,
    const char *step, int error);

/* Refuse the runs that have waited too long. Returns when to look again. */
uint64_t run_queue_keep_time(struct broker *broker, uint64_t now_us);

#endif
