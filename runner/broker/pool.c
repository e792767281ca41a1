/* pool.c - see pool.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/pool.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/language.h"
#include "broker/run_queue.h"
#include "clock.h"
#include "log.h"

#define AILING_FAILURES 3
#define BROKEN_FAILURES 5
#define RETRY_SOON_US 10000u
#define RETRY_LATE_US 500000u

bool
pool_backs_off(const struct pool *pool)
{
	return pool->retry_us != 0 && clock_us() < pool->retry_us;
}

bool
pool_is_broken(const struct pool *pool)
{
	return pool->failures > BROKEN_FAILURES;
}

bool
pool_is_ailing(const struct pool *pool)
{
	return pool->failures > AILING_FAILURES;
}

void
pool_failed(struct broker *broker, struct language *language, struct pool *pool, struct failure failure)
{
	snprintf(broker->trouble, sizeof broker->trouble, "%s: a cell could not be made: %s%s%s", language->config->name,
	    failure.step, failure.error != 0 ? ": " : "", failure.error != 0 ? strerror(failure.error) : "");
	/* Cells that were begun together fail together: that is one failure. */
	if (!pool_backs_off(pool)) {
		/* One line for each failure would fill the disk when every one fails. */
		if (pool->failures++ == 0)
			log_warn("%s", broker->trouble);
		pool->retry_us = clock_us() + (pool_is_ailing(pool) ? RETRY_LATE_US : RETRY_SOON_US);
		loop_wake_at(&broker->loop, pool->retry_us);
	}
	if (pool_is_broken(pool))
		run_queue_refuse(broker, language, pool, REFUSED_FAULT, failure.step, failure.error);
	loop_dispatch(&broker->loop);
}

void
pool_recovered(struct pool *pool)
{
	pool->failures = 0;
	pool->retry_us = 0;
	pool->made_us = clock_us();
}
