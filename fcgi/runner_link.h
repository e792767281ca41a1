/*
 * runner_link.h - the connection of a worker's thread to the runner: one request, one reply
 * (proto.h).
 */
#ifndef CELLBLOCK_RUNNER_LINK_H
#define CELLBLOCK_RUNNER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "proto.h"

#define RUNNER_LINK_ERROR_SIZE 256

struct runner_link {
	const struct config *config;
	const char *path;
	uint64_t config_digest;             /* of the configuration that this worker has read */
	int fd;                             /* non-blocking; -1: not connected */
	uint32_t connections;               /* how many it has had; a new one may have the same `fd` */
	enum level level;                   /* of the runner's cells, as of the last connection */
	bool any_config;                    /* a runner with another configuration will do */
	bool other_config;                  /* then: it has another one */
	bool stale;                         /* the runner on `path` has another configuration or protocol version */
	bool moved;                         /* a newer runner serves on `path`; this connection is served until it ends */
	char error[RUNNER_LINK_ERROR_SIZE]; /* after a call returned -1: the failed step and errno, for the log */
};

/* How to send a request if there is no connection, or it turns out to have ended. */
enum reconnect {
	RECONNECT_NEVER,     /* fail: the request refers to an earlier one of this connection */
	RECONNECT_ONCE,      /* connect at once, or fail */
	RECONNECT_PATIENTLY, /* retry for about a second, the time that a runner needs to restart */
};

/* Initialise the link. It connects by runner_link_connect, or with the first request. */
void runner_link_init(struct runner_link *link, const struct config *config);

/*
 * Connect at once, unless there is a connection; if the runner has moved, to the newer one. Returns
 * 0 with a connection, or -1 with `error` set.
 */
int runner_link_connect(struct runner_link *link);

/*
 * Deal with what poll(2) announced while no request is under way: the runner has moved, or has
 * ended. If it has moved, connects to the newer one. If that has another configuration, `stale` is
 * set, and the connection stays, so that a request at that moment is still served. Returns 0 with a
 * connection, or -1 with `error` set.
 */
int runner_link_idle(struct runner_link *link);

/*
 * Send a request with `fd_count` descriptors, which stay the caller's. A request that was delivered
 * is never sent again. Returns 0; or -1 with `error` set and no connection: nothing was delivered.
 */
int runner_link_send(struct runner_link *link, const struct proto_request *request, const int *fds, size_t fd_count,
    enum reconnect reconnect);

/*
 * Receive the message that poll(2) announced. Returns 0; 1 if it was no answer, and the answer is
 * still to come; or -1 with `error` set and no connection.
 */
int runner_link_receive(struct runner_link *link, struct proto_reply *reply);

/*
 * The same for an answer that may come with a descriptor: *fd, close-on-exec and the caller's, or
 * -1.
 */
int runner_link_receive_fd(struct runner_link *link, struct proto_reply *reply, int *fd);

/*
 * Send a request that is answered at once, and wait for the reply, which is of the same kind.
 * Returns 0; or -1 with `error` set and no connection.
 */
int runner_link_ask(struct runner_link *link, const struct proto_request *request, enum reconnect reconnect,
    struct proto_reply *reply);

/*
 * The same with RECONNECT_PATIENTLY, where the runner may have to start something before it can
 * answer: that may take `start_ms` longer.
 */
int runner_link_ask_to_start(struct runner_link *link, const struct proto_request *request, uint64_t start_ms,
    struct proto_reply *reply);

/*
 * The same as runner_link_ask for a request whose reply comes with a descriptor: *fd, close-on-exec
 * and the caller's.
 */
int runner_link_ask_fd(struct runner_link *link, const struct proto_request *request, enum reconnect reconnect,
    struct proto_reply *reply, int *fd);

/*
 * Close the connection. The runner then ends this worker's run, and drops the program that it holds
 * for it.
 */
void runner_link_close(struct runner_link *link);

#endif
