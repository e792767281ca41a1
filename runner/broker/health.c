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

/* Whether a zygote of each of its warm sets serves. */
static bool
has_all_sets(const struct language *language)
{
	for (uint32_t kind = 0; kind < language->config->warm_count; kind++) {
		uint32_t pool = kind * GRANT_COUNT + language_usual_grant(language);
		bool serves = false;

		for (size_t z = 0; z < language->zygote_count && !serves; z++)
			serves = language->zygote[z].pool == pool && language->zygote[z].is_verified;
		if (!serves)
			return false;
	}
	return true;
}

/*
 * Whether the start has to wait for more than the first zygote of a language that is always awake:
 * the first programs that import something would have to. A set that does not come up is not waited
 * for longer.
 */
static bool
is_warming(const struct broker *broker, const struct language *language)
{
	return !broker->was_ready && language->state == LANGUAGE_SERVING && language->start == START_ZYGOTE &&
	    language->config->idle_s == 0 && clock_us() < language->state_us + WAKING_LIMIT_US && !has_all_sets(language);
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
	if (state->reason[0] != '\0' ||
	    (language->state != LANGUAGE_FAILING && !is_late(language) && !is_warming(broker, language)))
		return;
	snprintf(state->reason, sizeof state->reason, "%.32s: %.140s", language->config->name,
	    language->state == LANGUAGE_FAILING      ? language->reason :
	        language->state == LANGUAGE_STARTING ? "no zygote serves yet" :
	                                               "not all of its zygotes serve yet");
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
