/* client.h - the workers' connections: what they ask and what they are told. */
#ifndef CELLBLOCK_CLIENT_H
#define CELLBLOCK_CLIENT_H

#include "broker/broker.h"

/* Take on a worker whose connection is `fd`. */
void client_add(struct broker *broker, int fd, pid_t pid);

/* Free those who have gone, when the loop has no event in hand that could be theirs. */
void client_free_gone(struct broker *broker);

/* End a run's wait: tell its worker how it went. */
void client_result(struct client *client, const struct run_result *result);
void client_refuse(struct client *client, enum refusal reason);

/* Put a client with a run at the end of the queue, or take it out. */
void client_enqueue(struct broker *broker, struct client *client);
void client_dequeue(struct broker *broker, struct client *client);

/*
 * Have what the compiler of `client` made taken out of its cell (client->box_fd), which is gone, and kept. The client is
 * told client->result then.
 */
void client_collect(struct broker *broker, struct client *client, const struct language *language);

/* What its compiler has made has been taken out: `fd`, which becomes the client's, or -1 if that is nothing. */
void client_collected(struct broker *broker, struct client *client, int fd);

#endif
