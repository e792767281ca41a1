/*
 * relay_pump.h - a connection that the relay carries: two sockets, and what was read from one and not yet written to the other.
 *
 * Nothing here blocks, and a connection never holds more than two buffers of PUMP_BYTES.
 */
#ifndef CELLBLOCK_RELAY_PUMP_H
#define CELLBLOCK_RELAY_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PUMP_BYTES 16384

/* What the loop waits for. Part of whatever owns the descriptor. */
struct watch {
	int fd;          /* -1: none */
	uint32_t events; /* waited for now; 0: the loop does not know the descriptor */
	void (*ready)(struct watch *watch, uint32_t events);
};

struct relay_conn_side {
	struct watch watch;
	char data[PUMP_BYTES]; /* read here, to be written to the other side: from `start` to `end` */
	size_t start, end;
	bool is_ended; /* no more will be read here */
	bool is_told;  /* and the other side has been told so */
};

enum { PUMP_GUEST, PUMP_PROXY };

struct relay_conn {
	struct relay_conn_side side[2];
	void *owner;
	struct relay_conn *next;    /* of the owner's */
	uint64_t deadline_us; /* while it is being connected; else 0 */
	bool is_over;         /* nothing will come of it any more: relay_conn_free it */
	int error;            /* why there is no connection to the proxy; 0: there is, or it is not known yet */
};

/*
 * A connection between `guest_fd`, which it takes over, and a new socket to the proxy. Returns NULL, with guest_fd closed, if
 * there is no memory. If the proxy cannot be reached, the guest is told so in HTTP, now or later.
 */
struct relay_conn *relay_conn_new(int epoll_fd, int guest_fd, const struct sockaddr *proxy, socklen_t proxy_size, uint64_t deadline_us,
    void *owner);

/* Something can be done on one of its sides. Afterwards it may be over. */
void relay_conn_ready(int epoll_fd, struct relay_conn *pump, struct watch *watch, uint32_t events);

/* The proxy has not answered until the deadline. */
void relay_conn_expire(int epoll_fd, struct relay_conn *pump);

void relay_conn_free(struct relay_conn *pump);

/* Wait for `events` (EPOLLIN, EPOLLOUT) on a descriptor; 0 for nothing, not even for its end. Returns 0, or -1 with errno. */
int watch_for(int epoll_fd, struct watch *watch, uint32_t events);

/* Close it; what it waited for will not come. `is_abrupt`: without a word, so that the kernel keeps nothing of it. */
void watch_close(struct watch *watch, bool is_abrupt);

#endif
