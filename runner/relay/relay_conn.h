/*
 * relay_conn.h - a connection that the relay carries: two sockets, and bytes that were read from
 * one and not yet written to the other.
 *
 * Nothing here blocks, and a connection never holds more than two buffers of RELAY_CONN_BYTES.
 */
#ifndef CELLBLOCK_RELAY_CONN_H
#define CELLBLOCK_RELAY_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "relay/relay_socket.h"

#define RELAY_CONN_BYTES 16384

struct relay_conn_side {
	struct relay_socket socket;
	char data[RELAY_CONN_BYTES]; /* read here, to be written to the other side: from `start` to `end` */
	size_t start, end;
	bool is_ended; /* no more will be read here */
	bool is_told;  /* and the other side has been told so */
};

enum { RELAY_CONN_GUEST, RELAY_CONN_PROXY };

struct relay_conn {
	struct relay_conn_side side[2];
	struct poller *poller;
	/* Called after something was done. The connection may be over then. */
	void (*changed)(struct relay_conn *conn, bool was_connecting);
	void *owner;             /* for `changed` */
	struct relay_conn *next; /* of the owner's */
	uint64_t deadline_us;    /* while it is being connected; else 0 */
	bool is_over;            /* it stays closed: call relay_conn_free */
	int error;               /* why there is no connection to the proxy; 0: there is, or it is not known yet */
};

/*
 * Make a connection between `guest_fd`, which it owns from now on, and a new socket to the proxy.
 * `deadline_us`: for the proxy to accept it (clock_us()). `changed`, with `owner`, is called
 * whenever an event has been handled; not before this returns. Returns NULL, with guest_fd closed,
 * if there is no memory. If the proxy cannot be reached, the guest gets an answer in HTTP that says
 * so.
 */
struct relay_conn *relay_conn_new(struct poller *poller, int guest_fd, const struct sockaddr *proxy, socklen_t proxy_size,
    uint64_t deadline_us, void (*changed)(struct relay_conn *conn, bool was_connecting), void *owner);

/* The proxy has not answered until the deadline. */
void relay_conn_expire(struct relay_conn *conn);

/* Close both sides, and free it. Not to be called in `changed`. */
void relay_conn_free(struct relay_conn *conn);

#endif
