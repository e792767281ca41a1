/* drain.c - see drain.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/drain.h"

#include <unistd.h>

#include "broker/broker.h"
#include "broker/client.h"
#include "broker/run_queue.h"
#include "clock.h"
#include "log.h"

void
drain_begin(struct broker *broker, enum drain drain)
{
	if (broker->drain == DRAIN_NONE)
		broker->drain_until_us = clock_us() + broker->config->drain_ms * 1000u;
	broker->drain = drain;
	loop_wake_at(&broker->loop, 0);
	if (drain == DRAIN_MOVED) {
		log_info("a newer generation serves: this one ends when its workers have gone");
		client_tell_moved(broker);
	} else {
		log_info("stopping: %u run(s) are finished, %u that wait are refused", broker->running,
		    run_queue_count(&broker->queue));
		run_queue_refuse(broker, NULL, NULL, REFUSED_STOPPING, "it had not begun", 0);
	}
}

uint64_t
drain_keep_time(struct broker *broker, uint64_t now_us)
{
	if (broker->drain == DRAIN_NONE)
		return NEVER_US;
	if (now_us >= broker->drain_until_us ||
	    (broker->drain == DRAIN_MOVED ? LIST_EMPTY(&broker->clients) : !client_has_work(broker)))
		drain_finish(broker);
	return broker->drain_until_us;
}

void
drain_finish(struct broker *broker)
{
	broker->drain = DRAIN_STOP;
	run_queue_refuse(broker, NULL, NULL, REFUSED_STOPPING, "it had not begun", 0);
	client_end_all(broker);
	log_info("ending, with every cell");
	_exit(0);
}
