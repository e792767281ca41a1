/* compiler_id.c - see compiler_id.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/compiler_id.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/language.h"
#include "broker/warden_link.h"
#include "clock.h"
#include "fdpass.h"

#define GOOD_FOR_US 1000000u

bool
compiler_id_is_known(const struct language *language)
{
	const struct compiler_id *id = &language->compiler;

	return id->known_us != 0 && clock_us() < id->known_us + GOOD_FOR_US;
}

/* Zeros where the warden cannot tell: a key that nothing is kept under. */
static void
learn(struct broker *broker, struct language *language, const struct warden_compiler *told)
{
	memset(language->compiler.file, 0, sizeof language->compiler.file);
	if (told != NULL)
		memcpy(language->compiler.file, told->file, sizeof language->compiler.file);
	language->compiler.known_us = clock_us();
	loop_dispatch(&broker->loop);
}

static void
answered(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct compiler_id *id = watch_owner(watch, struct compiler_id, answer);
	struct language *language = (struct language *)(void *)((char *)id - offsetof(struct language, compiler));
	struct warden_compiler told;
	size_t count;
	ssize_t n = fdpass_recv(watch->fd, &told, sizeof told, NULL, 0, &count, NULL);

	(void)events;
	loop_unwatch(&broker->loop, watch);
	learn(broker, language, n == (ssize_t)sizeof told ? &told : NULL);
}

void
compiler_id_ask(struct broker *broker, struct language *language)
{
	const struct warden_request request = { .kind = WARDEN_IDENTIFY };

	if (language->compiler.asking == NULL || language->compiler.answer.fd >= 0 || compiler_id_is_known(language))
		return;
	/* A warden that is still to be started is asked when it is up. */
	if (language->state == LANGUAGE_STARTING && language->warden.sock < 0)
		return;
	if (warden_link_ask(broker, language, &request, NULL, 0, &language->compiler.answer, answered) != 0)
		learn(broker, language, NULL);
}
