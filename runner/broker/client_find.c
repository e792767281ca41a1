/* client_find.c - see client_find.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/client_find.h"

#include <fcntl.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/client.h"
#include "broker/client_reply.h"
#include "broker/compiler_id.h"
#include "broker/language.h"
#include "broker/meter.h"
#include "clock.h"
#include "fdpass.h"

/* Whether the compiler of the source that was last asked for is known. */
static bool
has_compiler(const struct client *client)
{
	static const struct compile_key nothing;

	return memcmp(client->key.compiler, nothing.compiler, sizeof nothing.compiler) != 0;
}

/*
 * Count a request for a compiled program. One that is over the rate finds nothing, and its
 * PROTO_COMPILE is refused: PROTO_FIND itself has no refusal.
 */
static void
count_find(struct broker *broker, struct client *client, const struct run_share *share)
{
	uint64_t now_us = clock_us();
	struct key_account *account = key_account_hold(&broker->accounts, share, now_us);

	client->is_over_rate = account != NULL && !key_account_take(account, now_us);
	key_account_release(&broker->accounts, account, now_us);
}

int
client_find(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	struct language *language;

	(void)fds;
	(void)fd_count;
	if (request->index >= broker->language_count || !key_account_is_share(&request->share))
		return -1;
	language = &broker->language[request->index];
	if (!config_is_compiled(language->config))
		return -1;
	count_find(broker, client, &request->share);
	fdpass_close(&client->run.program_fd, 1);
	memset(&client->key, 0, sizeof client->key);
	client->key.language = request->index;
	memcpy(client->key.digest, request->digest, sizeof client->key.digest);
	client->state = CLIENT_FINDING;
	client->next_finding = language->compiler.asking;
	language->compiler.asking = client;
	language_touch(broker, language);
	loop_dispatch(&broker->loop);
	return 0;
}

/*
 * The program of this source that another connection holds. A request with many runs holds it so,
 * even where the cache does not. Returns a new descriptor, or -1.
 */
static int
find_held(const struct broker *broker, const struct client *client)
{
	const struct client *other;

	if (!has_compiler(client))
		return -1;
	LIST_FOREACH(other, &broker->clients, in_all) {
		if (other->state == CLIENT_IDLE && other->run.program_fd >= 0 &&
		    memcmp(&other->key, &client->key, sizeof client->key) == 0)
			return fcntl(other->run.program_fd, F_DUPFD_CLOEXEC, 0);
	}
	return -1;
}

void
client_find_answer(struct broker *broker, struct language *language)
{
	bool can_know = language_is_awake(language);

	if (language->compiler.asking == NULL || (can_know && !compiler_id_is_known(language)))
		return;
	while (language->compiler.asking != NULL) {
		struct client *client = language->compiler.asking;
		struct proto_reply message = { .kind = PROTO_FIND };

		language->compiler.asking = client->next_finding;
		client->state = CLIENT_IDLE;
		if (can_know) {
			memcpy(client->key.compiler, language->compiler.file, sizeof client->key.compiler);
			if (!client->is_over_rate)
				client->run.program_fd = compile_cache_find(&broker->compile_cache, &client->key);
			if (!client->is_over_rate && client->run.program_fd < 0)
				client->run.program_fd = find_held(broker, client);
		}
		message.u.found = client->run.program_fd >= 0;
		meter_looked_for(broker, language, message.u.found != 0);
		client_reply(client, &message);
	}
}

void
client_find_stop(struct broker *broker, struct client *client)
{
	struct client **link = &broker->language[client->key.language].compiler.asking;

	while (*link != client)
		link = &(*link)->next_finding;
	*link = client->next_finding;
}

bool
client_find_was(const struct client *client, const struct proto_request *request)
{
	return client->key.language == request->index && memcmp(client->key.digest, request->digest, sizeof request->digest) == 0;
}

void
client_find_keep(struct broker *broker, const struct client *client)
{
	if (has_compiler(client))
		compile_cache_keep(&broker->compile_cache, &client->key, client->account->share.name, client->run.program_fd);
}
