/* health.c - see health.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/health.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/language.h"
#include "clock.h"

#define WAKING_LIMIT_US 10000000u /* that a language may take to wake */

/*
 * Whether a language that has no zygote is to be reported. One that wakes for a run is not: that is
 * how it is meant to be. At the start those are that are always awake, until they serve.
 */
static bool
is_late(const struct language *language)
{
	return language->state == LANGUAGE_STARTING &&
	    ((language->config->idle_s == 0 && !language->is_verified) || clock_us() > language->state_us + WAKING_LIMIT_US);
}

static void
look_at_language(const struct broker *broker, const struct language *language, struct proto_state *state)
{
	for (uint32_t w = 0; w < LANGUAGE_POOLS; w++) {
		const struct pool *pool = &language->pool[w];

		state->armed += pool->armed_count;
		if (pool_is_ailing(pool) && pool->armed_count < language_armed(language, w) + pool->queued)
			memcpy(state->reason, broker->trouble, sizeof state->reason);
	}
	if (state->reason[0] != '\0' || (language->state != LANGUAGE_FAILING && !is_late(language)))
		return;
	snprintf(state->reason, sizeof state->reason, "%.32s: %.140s", language->config->name,
	    language->state == LANGUAGE_FAILING ? language->reason : "no zygote serves yet");
}

void
health_state(const struct broker *broker, struct proto_state *state)
{
	const struct proto_layer *missing = layers_missing(&broker->layers);
	const struct proto_layer *broken = layers_broken(&broker->layers);

	*state = (struct proto_state){ .running = broker->running, .queued = run_queue_count(&broker->queue) };
	for (size_t l = 0; l < broker->language_count; l++)
		look_at_language(broker, &broker->language[l], state);
	if (broker->config->network == NETWORK_PROXY && broker->relay.fd < 0)
		snprintf(state->reason, sizeof state->reason, "the relay to the proxies is down");
	if (broken != NULL)
		snprintf(state->reason, sizeof state->reason, "layer %s is required and not in force: %.120s", broken->name,
		    broken->detail);
	else if (missing != NULL && state->reason[0] == '\0')
		snprintf(state->reason, sizeof state->reason, "layer %s is required and not verified yet", missing->name);
	state->healthy = state->reason[0] == '\0';
	/* A balancer that looks at this sends its requests elsewhere before the queue is full. */
	state->ready = state->healthy && broker->drain != DRAIN_STOP && state->queued <= broker->config->queue / 4 * 3;
}
