/* client_reply.c - see client_reply.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/client_reply.h"

#include <sys/socket.h>

#include "broker/broker.h"
#include "broker/client.h"
#include "fdpass.h"

void
client_reply_with(struct client *client, const struct proto_reply *message, const int *fds, size_t fd_count)
{
	if (fdpass_send(client->watch.fd, message, sizeof *message, fds, fd_count) == 0)
		return;
	/* It does not read its answers, or is gone. Closing comes as an event of its own. */
	shutdown(client->watch.fd, SHUT_RDWR);
}

void
client_reply(struct client *client, const struct proto_reply *message)
{
	client_reply_with(client, message, NULL, 0);
}

void
client_reply_moved(const struct broker *broker, struct client *client)
{
	const struct proto_reply moved = { .kind = PROTO_MOVED };

	if (broker->drain == DRAIN_MOVED && client->state == CLIENT_IDLE && client->run.program_fd < 0)
		client_reply(client, &moved);
}

void
client_reply_refused(struct client *client, uint32_t id, enum refusal refusal)
{
	const struct proto_reply message = { .kind = PROTO_REFUSED, .id = id, .u.refused.refusal = refusal };

	client_reply(client, &message);
}
