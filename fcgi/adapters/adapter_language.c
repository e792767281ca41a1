/* adapter_language.c - see adapter_language.h. Runs in the worker. */
#include "adapters/adapter_language.h"

#include <pthread.h>
#include <string.h>

#include "clock.h"
#include "runner_link.h"

#define FRESH_US 5000000 /* a language that is installed meanwhile is known after this time */

/* The last answers of the runner, for all threads. */
static struct {
	struct proto_language language;
	uint64_t asked_us; /* 0: never */
} known[CONFIG_MAX_LANGUAGES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

const char *
adapter_language_name(const struct language_config *language, enum adapter_protocol protocol)
{
	const struct strings *names = &language->adapter_names[protocol];

	if (names->count > 0)
		return names->item[0];
	/* Piston lists what is installed, under names that are most often ours. */
	return protocol == ADAPTER_PISTON ? language->name : NULL;
}

static bool
is_among(const struct strings *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->item[i], name) == 0)
			return true;
	}
	return false;
}

static bool
has_name(const struct language_config *language, enum adapter_protocol protocol, const char *name)
{
	const struct strings *names = &language->adapter_names[protocol];

	if (names->count == 0 && protocol == ADAPTER_PISTON)
		return strcmp(language->name, name) == 0 || is_among(&language->aliases, name);
	return is_among(names, name);
}

int
adapter_language_next(const struct config *config, enum adapter_protocol protocol, const char *name, int from)
{
	int count = (int)config->language_count;

	if (count == 0)
		return -1;
	/* Two passes: the defaults, and then the others; `from` says in which one the last was. */
	for (int i = from < 0 ? 0 : from + (config->language[from]->is_default ? 1 : count + 1); i < 2 * count; i++) {
		const struct language_config *language = config->language[i % count];

		if (language->is_default == (i < count) && has_name(language, protocol, name))
			return i % count;
	}
	return -1;
}

int
adapter_language_ask(struct worker *worker, size_t language, struct proto_language *answer)
{
	struct proto_request request = { .kind = PROTO_LANGUAGE, .index = (uint32_t)language };
	uint64_t now_us = clock_us();
	struct proto_reply reply;
	bool is_fresh;

	pthread_mutex_lock(&lock);
	is_fresh = known[language].asked_us != 0 && now_us - known[language].asked_us < FRESH_US;
	if (is_fresh)
		*answer = known[language].language;
	pthread_mutex_unlock(&lock);
	if (is_fresh)
		return 0;
	if (runner_link_ask(&worker->link, &request, RECONNECT_PATIENTLY, &reply) != 0)
		return -1;
	*answer = reply.u.language;
	answer->version[sizeof answer->version - 1] = '\0';
	answer->reason[sizeof answer->reason - 1] = '\0';
	pthread_mutex_lock(&lock);
	known[language].language = *answer;
	known[language].asked_us = now_us;
	pthread_mutex_unlock(&lock);
	return 0;
}
