/*
 * drain.h - how the broker comes to its end without losing a run.
 *
 * DRAIN_MOVED: a newer generation serves. Connections that have nothing under way are told so, and
 * the workers close them. Everything on the others is served as before. It ends with the last
 * connection.
 *
 * DRAIN_STOP: the service stops. Runs that have begun are finished, all others are refused. It ends
 * with the last run.
 *
 * Either takes runner.drain_ms at most. What is left then is answered: a run that had begun is
 * lost, any other is refused.
 */
#ifndef CELLBLOCK_DRAIN_H
#define CELLBLOCK_DRAIN_H

#include <stdint.h>

struct broker;

enum drain {
	DRAIN_NONE,
	DRAIN_MOVED,
	DRAIN_STOP,
};

/* Begin to come to an end. A stop may follow a move. */
void drain_begin(struct broker *broker, enum drain drain);

/* End the process if nothing is left to do, or if it is time. Returns when to look again. */
uint64_t drain_keep_time(struct broker *broker, uint64_t now_us);

/* Answer all that is left, and end the process. */
void drain_finish(struct broker *broker) __attribute__((noreturn));

#endif
