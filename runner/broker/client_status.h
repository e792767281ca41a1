/*
 * client_status.h - the answers to questions about the runner itself: a language, a layer, the
 * state, the metrics. Each function is a handler of the table in client.c.
 */
#ifndef CELLBLOCK_CLIENT_STATUS_H
#define CELLBLOCK_CLIENT_STATUS_H

#include <stddef.h>

#include "proto.h"

struct broker;
struct client;

int client_status_language(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count);

int client_status_layer(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count);

int client_status_state(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count);

int client_status_metrics(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count);

#endif
