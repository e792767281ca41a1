/* client_status.c - see client_status.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/client_status.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/client_reply.h"
#include "broker/health.h"
#include "broker/language.h"
#include "broker/meter.h"

int
client_status_language(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count)
{
	struct proto_reply message = { .kind = PROTO_LANGUAGE };
	struct proto_language *answer = &message.u.language;

	(void)fds;
	(void)fd_count;
	if (request->index < broker->language_count) {
		struct language *language = &broker->language[request->index];

		language_look(broker, language);
		answer->available = language->state != LANGUAGE_MISSING && language->state != LANGUAGE_FAILING;
		answer->start = language->start;
		memcpy(answer->version, language->version, sizeof answer->version);
		memcpy(answer->reason, answer->available ? language->shortfall : language->reason, sizeof answer->reason);
	}
	client_reply(client, &message);
	return 0;
}

int
client_status_layer(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count)
{
	struct proto_reply message = { .kind = PROTO_LAYER };

	(void)fds;
	(void)fd_count;
	if (request->index < broker->layers.count)
		message.u.layer = broker->layers.layer[request->index];
	client_reply(client, &message);
	return 0;
}

int
client_status_state(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count)
{
	struct proto_reply message = { .kind = PROTO_STATE };

	(void)request;
	(void)fds;
	(void)fd_count;
	health_state(broker, &message.u.state);
	client_reply(client, &message);
	return 0;
}

int
client_status_metrics(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count)
{
	const struct proto_reply message = { .kind = PROTO_METRICS };
	int fd = meter_collect(broker);

	(void)request;
	(void)fds;
	(void)fd_count;
	client_reply_with(client, &message, &fd, 1);
	return 0;
}
