/*
 * relay_socket.h - a socket of the relay, which is watched only while something is to be done with
 * it.
 *
 * epoll(7) reports errors and the end of a connection even to a watch for no events, again and
 * again. A socket from which nothing is to be read for a while has to leave the poller.
 */
#ifndef CELLBLOCK_RELAY_SOCKET_H
#define CELLBLOCK_RELAY_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/poller.h"

struct relay_socket {
	int fd;             /* -1: none */
	uint32_t events;    /* watched for; 0: it is not watched */
	struct watch watch; /* the descriptor's, while it is watched */
};

/* The value for a socket that is none, or for `fd`, which it owns from now on. */
#define RELAY_SOCKET(descriptor) ((struct relay_socket){ .fd = (descriptor), .watch = { .fd = -1 } })

/*
 * Watch a socket for `events` (EPOLLIN, EPOLLOUT) from now on; 0: for nothing, not even for its
 * end. Does nothing if there is none. Returns 0, or -1 with errno.
 */
int relay_socket_wait(struct poller *poller, struct relay_socket *socket, uint32_t events, watch_ready *ready);

/*
 * Close it; no event of it comes any more. `is_abrupt`: by a reset, so that the kernel keeps
 * nothing of the connection. Does nothing if there is none.
 */
void relay_socket_close(struct poller *poller, struct relay_socket *socket, bool is_abrupt);

#endif
