/* drain.c - see drain.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/drain.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/client.h"
#include "broker/language.h"
#include "broker/run_queue.h"
#include "clock.h"
#include "config_dependencies.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"

void
drain_begin(struct broker *broker, enum drain drain)
{
	const struct broker_notice moved = { .kind = BROKER_MOVED };

	if (broker->drain == DRAIN_NONE)
		broker->drain_until_us = clock_us() + broker->config->drain_ms * 1000u;
	broker->drain = drain;
	loop_wake_at(&broker->loop, 0);
	if (drain == DRAIN_MOVED) {
		log_info("a newer generation serves: this one ends when its workers have gone");
		client_tell_moved(broker);
		for (size_t i = 0; i < broker->language_count; i++)
			language_unlock_packages(&broker->language[i], SET_LOCK_ALL_RUNS);
		if (fdpass_send(broker->door.fd, &moved, sizeof moved, NULL, 0) != 0)
			log_warn("tell the door that the workers know: %s", strerror(errno));
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
