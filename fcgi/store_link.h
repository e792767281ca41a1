/* store_link.h - the connection of a worker to the store (store_proto.h), for one request. */
#ifndef CELLBLOCK_STORE_LINK_H
#define CELLBLOCK_STORE_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "store_proto.h"

#define STORE_LINK_ERROR_SIZE 256

struct store_link {
	int fd;                            /* -1: not connected */
	bool is_hasty;                     /* wait for neither a restart nor a slow answer */
	char error[STORE_LINK_ERROR_SIZE]; /* after a call returned -1: the failed step, for the log */
};

/* The parts of an exchange besides the request and its reply. */
struct store_more {
	const uint8_t (*digests)[PROTO_DIGEST_SIZE]; /* STORE_FIND: request->count of them */
	uint64_t *sizes;                             /* the same */
	int sent_fd;                                 /* STORE_KEEP; stays the caller's */
	int fd;                                      /* STORE_OPEN: set to a descriptor that is the caller's, or to -1 */
};

/*
 * Connect to the store of the configuration, unless there is a connection. Tries for a second,
 * which the store needs to restart. Returns 0, or -1 with `error` set.
 */
int store_link_connect(struct store_link *link, const struct config *config);

/*
 * Ask the store and wait for the reply. `more` may be NULL if the kind needs none of it. Returns 0,
 * whatever fault the reply has; or -1 with `error` set and no connection.
 */
int store_link_ask(struct store_link *link, const struct store_request *request, struct store_more *more,
    struct store_reply *reply);

/*
 * Close the connection: the files that STORE_OPEN has handed out do not count any more. May be
 * called again.
 */
void store_link_close(struct store_link *link);

#endif
