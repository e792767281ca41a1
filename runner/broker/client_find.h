/*
 * client_find.h - the program of a connection's source: whether one that was compiled earlier is
 * there, and what is kept of one that is compiled now.
 */
#ifndef CELLBLOCK_CLIENT_FIND_H
#define CELLBLOCK_CLIENT_FIND_H

#include <stdbool.h>
#include <stddef.h>

#include "proto.h"

struct broker;
struct client;
struct language;

/*
 * Look for a program: a handler of the table in client.c. The answer comes when the identity of the
 * compiler is known, by client_find_answer.
 */
int client_find(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count);

/*
 * Answer the connections that have asked for a compiled program, if the identity of the language's
 * compiler is known.
 */
void client_find_answer(struct broker *broker, struct language *language);

/* Take a connection off the list of those that have asked, on which it is. */
void client_find_stop(struct broker *broker, struct client *client);

/*
 * Whether the request names the source that was last asked for: its output is kept under that key.
 */
bool client_find_was(const struct client *client, const struct proto_request *request);

/* Keep a compilation's output for later runs, unless its compiler is unknown. */
void client_find_keep(struct broker *broker, const struct client *client);

#endif
