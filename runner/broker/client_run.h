/*
 * client_run.h - the run of a connection, or its compilation: the checks of the request, the queue,
 * and the answer. The first three functions are handlers of the table in client.c.
 */
#ifndef CELLBLOCK_CLIENT_RUN_H
#define CELLBLOCK_CLIENT_RUN_H

#include <stddef.h>

#include "broker/run.h"
#include "proto.h"

struct broker;
struct client;

int client_run_take(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count);

int client_run_compile(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count);

int client_run_cancel(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count);

/*
 * A run came without its descriptors, because the broker had no number free for them. The worker
 * has done nothing wrong.
 */
void client_run_refuse_for_descriptors(struct broker *broker, struct client *client, const struct proto_request *request);

/* The owner of the runs of connections. */
extern const struct run_owner client_run_owner;

#endif
