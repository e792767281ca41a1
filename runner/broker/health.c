/* health.c - see health.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/health.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/language.h"

static void
look_at_language(const struct broker *broker, const struct language *language, struct proto_state *state)
{
	for (uint32_t w = 0; w < LANGUAGE_POOLS; w++) {
		const struct pool *pool = &language->pool[w];

		state->armed += pool->armed_count;
		if (pool_is_ailing(pool) && pool->armed_count < language_armed(language, w) + pool->queued)
			memcpy(state->reason, broker->trouble, sizeof state->reason);
	}
	if (state->reason[0] != '\0' || !language_is_awake(language) || language->state == LANGUAGE_SERVING)
		return;
	snprintf(state->reason, sizeof state->reason, "%.32s: %.140s", language->config->name,
	    language->state == LANGUAGE_FAILING ? language->reason : "no zygote serves yet");
}

void
health_state(const struct broker *broker, struct proto_state *state)
{
	const struct proto_layer *missing = layers_missing(&broker->layers);
	const struct proto_layer *broken = layers_broken(&broker->layers);

	*state = (struct proto_state){ .running = broker->running, .queued = broker->queue.count };
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
	state->ready = state->healthy && broker->drain != DRAIN_STOP &&
	    (broker->config->queue == 0 || broker->queue.count < broker->config->queue);
}
