/* run_queue.c - see run_queue.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/run_queue.h"

#include <stddef.h>

#include "broker/broker.h"
#include "broker/language.h"
#include "clock.h"

static struct pool *
pool_of(const struct run *run)
{
	return &run->language->pool[run->pool];
}

void
run_queue_init(struct run_queue *queue)
{
	*queue = (struct run_queue){ .tail = &queue->first };
}

/* Put a run where *link points. */
static void
insert(struct broker *broker, struct run **link, struct run *run)
{
	struct run_queue *queue = &broker->queue;

	run->state = RUN_QUEUED;
	run->next_queued = *link;
	*link = run;
	if (queue->tail == link)
		queue->tail = &run->next_queued;
	queue->count++;
	pool_of(run)->queued++;
	loop_wake_at(&broker->loop, run->queued_us + broker->config->queue_ms * 1000);
	loop_dispatch(&broker->loop);
}

void
run_queue_add(struct broker *broker, struct run *run)
{
	run->queued_us = clock_us();
	insert(broker, broker->queue.tail, run);
}

void
run_queue_restore(struct broker *broker, struct run *run)
{
	struct run **link = &broker->queue.first;

	while (*link != NULL && (*link)->queued_us < run->queued_us)
		link = &(*link)->next_queued;
	insert(broker, link, run);
}

void
run_queue_remove(struct broker *broker, struct run *run)
{
	struct run_queue *queue = &broker->queue;
	struct run **link = &queue->first;

	while (*link != run)
		link = &(*link)->next_queued;
	*link = run->next_queued;
	if (queue->tail == &run->next_queued)
		queue->tail = link;
	queue->count--;
	pool_of(run)->queued--;
	run->state = RUN_IDLE;
}

void
run_queue_refuse(struct broker *broker, const struct language *language, const struct pool *pool, enum refusal refusal,
    const char *step, int error)
{
	struct run *run = broker->queue.first;

	while (run != NULL) {
		struct run *next = run->next_queued;

		if ((language == NULL || run->language == language) && (pool == NULL || pool_of(run) == pool)) {
			run_queue_remove(broker, run);
			run_refuse(broker, run, refusal, step, error);
		}
		run = next;
	}
}

uint64_t
run_queue_keep_time(struct broker *broker, uint64_t now_us)
{
	uint64_t wait_us = broker->config->queue_ms * 1000;

	while (broker->queue.first != NULL && now_us >= broker->queue.first->queued_us + wait_us) {
		struct run *run = broker->queue.first;

		run_queue_remove(broker, run);
		run_refuse(broker, run, REFUSED_BUSY, "no cell came free in time", 0);
	}
	return broker->queue.first == NULL ? NEVER_US : broker->queue.first->queued_us + wait_us;
}
