/* client_reply.h - messages to a worker by its connection. */
#ifndef CELLBLOCK_CLIENT_REPLY_H
#define CELLBLOCK_CLIENT_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

struct broker;
struct client;

/*
 * Send a message. If the worker does not read its answers, the connection is shut down; closing it
 * comes as an event of its own.
 */
void client_reply(struct client *client, const struct proto_reply *message);

/* The same with descriptors, which stay the caller's. */
void client_reply_with(struct client *client, const struct proto_reply *message, const int *fds, size_t fd_count);

/*
 * Tell a connection that has nothing under way that a newer runner serves, if one does. After
 * PROTO_FIND the next request belongs to the same run, so a connection that holds a program is not
 * told.
 */
void client_reply_moved(const struct broker *broker, struct client *client);

/* Refuse run number `id`, which is not in hand. */
void client_reply_refused(struct client *client, uint32_t id, enum refusal refusal);

#endif
