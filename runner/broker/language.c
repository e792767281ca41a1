/* language.c - see language.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/language.h"

#include <stdlib.h>
#include <unistd.h>

#include "broker/broker.h"
#include "clock.h"

/* What a run of the language is granted that asks for nothing. */
unsigned
language_usual_grant(const struct language *language)
{
	return language->config->limits.default_.processes > 1 ? GRANT_PROCESSES : 0;
}

/* Have the pools served that keep cells ready, and no others before they are used. */
void
language_want_armed(struct language *language)
{
	for (uint32_t pool = 0; pool < LANGUAGE_POOLS; pool++)
		language->pool[pool].is_wanted = language_armed(language, pool) > 0;
}

/* ---- pools ------------------------------------------------------------------------------------------------------ */

/* Does the interpreter take only what it is given when it starts, and does it start ahead? */
static bool
starts_ahead(const struct language *language)
{
	return language->start == START_SPARE || (language->start == START_ZYGOTE && language->config->driver == NULL);
}

bool
language_serves(const struct language *language)
{
	for (size_t z = 0; z < language->zygote_count; z++) {
		if (language->zygote[z].pid != 0 && language->zygote[z].is_proved)
			return true;
	}
	return false;
}

uint32_t
language_armed(const struct language *language, uint32_t pool)
{
	uint32_t kind = pool / GRANT_COUNT;
	unsigned grant = pool % GRANT_COUNT;
	const struct warm_set *set = &language->config->warm[kind];

	if (kind >= language->config->warm_count || (grant & ~(unsigned)GRANT_NETWORK) != language_usual_grant(language))
		return 0;
	return (grant & GRANT_NETWORK) != 0 ? config_network_armed(language->all, set) : set->armed;
}

bool
language_rests(const struct pool *pool)
{
	return pool->retry_us != 0 && clock_us() < pool->retry_us;
}

uint32_t
language_pool(const struct language *language, uint32_t warm, uint32_t flags, unsigned grant)
{
	uint32_t kind = (flags & RUN_ARGUED) != 0 && starts_ahead(language) ? language->kinds - 1 : warm;

	return kind * GRANT_COUNT + grant;
}

/* ---- awake and asleep ------------------------------------------------------------------------------------------- */

void
language_wake(struct broker *broker, struct language *language, uint32_t pool)
{
	language->used_us = clock_us();
	if (language->is_awake && language->pool[pool].is_wanted)
		return;
	language->is_awake = true;
	language->pool[pool].is_wanted = true;
	broker_wake_at(broker, 0);
}

void
language_sleep(struct language *language)
{
	language->is_awake = false;
	language_want_armed(language);
	for (size_t w = 0; w < LANGUAGE_POOLS; w++) {
		language->pool[w].failures = 0;
		language->pool[w].retry_us = 0;
	}
	/* The warden ends when its socket closes, its zygotes when theirs do, and nobody waits for them by name. */
	for (size_t z = 0; z < language->zygote_count; z++)
		language->zygote[z].pid = 0;
	language->warden.pid = 0;
	if (language->warden.sock >= 0)
		close(language->warden.sock);
	language->warden.sock = -1;
}
