/* runner_link.h - the worker's connection to the runner: one question, one answer (proto.h). */
#ifndef CELLBLOCK_RUNNER_LINK_H
#define CELLBLOCK_RUNNER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "proto.h"

struct runner_link {
	const char *path;
	uint64_t config_digest; /* what this worker has read */
	int fd;                 /* non-blocking; -1: no connection */
	enum level level;       /* of the runner's cells, when it has been asked */
	bool stale;             /* the runner has read another configuration, or speaks another version */
};

/* Describe the link; nothing is connected yet. */
void runner_link_init(struct runner_link *link, const struct config *config);

/*
 * Send a request with descriptors. A connection that is missing, or turns out to have ended, is made anew: at once, and
 * with `patience` again and again for about a second, which is what a runner takes to restart. Only a request that
 * was never delivered is sent again. Returns 0, or -1 after a line in the log.
 */
int runner_link_send(struct runner_link *link, const struct proto_request *request, const int *fds, size_t fd_count,
    bool patience);

/* Take the message that poll(2) announced. Returns 0, or -1 after a line in the log: there is no connection then. */
int runner_link_receive(struct runner_link *link, struct proto_reply *reply);

/*
 * Ask a question that is answered at once, by a reply of the same kind. `patience` as above. Returns 0, or -1 after a line
 * in the log.
 */
int runner_link_ask(struct runner_link *link, const struct proto_request *question, bool patience,
    struct proto_reply *reply);

/* End the connection, and with it the run that it has. */
void runner_link_close(struct runner_link *link);

#endif
