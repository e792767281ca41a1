/*
 * relay_conn.c - see relay_conn.h. Runs in the relay. It does not look at the bytes of programs and
 * proxies.
 */
#define _GNU_SOURCE
#include "relay/relay_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A program whose proxy cannot be reached gets "502 Bad Gateway", and not a puzzle. */
static const char unreachable[] = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 39\r\n"
                                  "Connection: close\r\n\r\nThe configured proxy cannot be reached\n";

/* Close both sides. The connection is over. */
static void
end(struct relay_conn *conn, bool is_abrupt)
{
	conn->is_over = true;
	conn->deadline_us = 0;
	for (int i = 0; i < 2; i++)
		relay_socket_close(conn->poller, &conn->side[i].socket, is_abrupt);
}

/* Read once. Returns 0, or -1 if the connection is broken. */
static int
take(struct relay_conn_side *side)
{
	ssize_t n;

	if (side->start == side->end)
		side->start = side->end = 0;
	n = recv(side->socket.fd, side->data + side->end, RELAY_CONN_BYTES - side->end, MSG_DONTWAIT);
	if (n > 0)
		side->end += (size_t)n;
	else if (n == 0)
		side->is_ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		return -1;
	return 0;
}

/* Write once, as much as is taken. Returns 0, or -1 if the connection is broken. */
static int
give(struct relay_conn_side *from, struct relay_conn_side *to)
{
	ssize_t n;

	if (to->socket.fd < 0) {
		from->start = from->end; /* nobody is left to read it */
	} else if (from->start < from->end) {
		n = send(to->socket.fd, from->data + from->start, from->end - from->start, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			from->start += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	if (from->is_ended && from->start == from->end && !from->is_told) {
		from->is_told = true;
		if (to->socket.fd >= 0)
			shutdown(to->socket.fd, SHUT_WR);
	}
	return 0;
}

static watch_ready guest_ready, proxy_ready;

/* Watch both sides for whatever can be done next. */
static void
settle(struct relay_conn *conn)
{
	bool is_connecting = conn->deadline_us != 0;

	if (conn->side[RELAY_CONN_GUEST].is_told && conn->side[RELAY_CONN_PROXY].is_told) {
		end(conn, false);
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct relay_conn_side *side = &conn->side[i], *other = &conn->side[1 - i];
		bool has_room = side->start == side->end || side->end < RELAY_CONN_BYTES;
		uint32_t events = (!side->is_ended && has_room ? (uint32_t)EPOLLIN : 0u) |
		    (other->start < other->end ? (uint32_t)EPOLLOUT : 0u);

		if (is_connecting && i == RELAY_CONN_PROXY)
			events = EPOLLOUT;
		if (relay_socket_wait(conn->poller, &side->socket, events, i == RELAY_CONN_GUEST ? guest_ready : proxy_ready) !=
		    0) {
			end(conn, true);
			return;
		}
	}
}

/*
 * There will be no connection to the proxy: answer in its place, and read whatever the guest sends,
 * to its end.
 */
static void
refuse(struct relay_conn *conn, int error)
{
	struct relay_conn_side *proxy = &conn->side[RELAY_CONN_PROXY];

	conn->error = error;
	conn->deadline_us = 0;
	relay_socket_close(conn->poller, &proxy->socket, true);
	memcpy(proxy->data, unreachable, sizeof unreachable - 1);
	proxy->start = 0;
	proxy->end = sizeof unreachable - 1;
	proxy->is_ended = true;
	if (give(proxy, &conn->side[RELAY_CONN_GUEST]) != 0)
		end(conn, true);
}

/* Begin to connect. Returns a socket, or -1 with errno. */
static int
begin_connecting(const struct sockaddr *proxy, socklen_t size)
{
	int fd = socket(proxy->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int yes = 1, error;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0 &&
	    (connect(fd, proxy, size) == 0 || errno == EINPROGRESS))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

struct relay_conn *
relay_conn_new(struct poller *poller, int guest_fd, const struct sockaddr *proxy, socklen_t proxy_size, uint64_t deadline_us,
    void (*changed)(struct relay_conn *conn, bool was_connecting), void *owner)
{
	struct relay_conn *conn = malloc(sizeof *conn);
	int yes = 1;

	if (conn == NULL) {
		close(guest_fd);
		return NULL;
	}
	/* The buffers stay as they are: most of them are never touched. */
	for (int i = 0; i < 2; i++) {
		struct relay_conn_side *side = &conn->side[i];

		side->socket = RELAY_SOCKET(-1);
		side->start = side->end = 0;
		side->is_ended = side->is_told = false;
	}
	conn->poller = poller;
	conn->changed = changed;
	conn->owner = owner;
	conn->next = NULL;
	conn->deadline_us = deadline_us;
	conn->is_over = false;
	conn->error = 0;
	conn->side[RELAY_CONN_GUEST].socket.fd = guest_fd;
	setsockopt(guest_fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	conn->side[RELAY_CONN_PROXY].socket.fd = begin_connecting(proxy, proxy_size);
	if (conn->side[RELAY_CONN_PROXY].socket.fd < 0)
		refuse(conn, errno);
	if (!conn->is_over)
		settle(conn);
	return conn;
}

/* The connection to the proxy is made, or has failed. */
static void
take_answer(struct relay_conn *conn)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(conn->side[RELAY_CONN_PROXY].socket.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (error != 0)
		refuse(conn, error);
	else
		conn->deadline_us = 0;
}

/* Do whatever can be done on one side. */
static void
side_ready(struct relay_conn *conn, int i, uint32_t events)
{
	struct relay_conn_side *side = &conn->side[i], *other = &conn->side[1 - i];
	bool was_connecting = conn->deadline_us != 0, is_good = true;
	uint32_t awaited = side->socket.events;

	if (i == RELAY_CONN_PROXY && was_connecting) {
		take_answer(conn);
		is_good = conn->is_over || give(other, side) == 0;
	} else {
		/* An error or a hang-up shows when the side is read or written. */
		if ((awaited & EPOLLIN) != 0 && (events & ~(uint32_t)EPOLLOUT) != 0)
			is_good = take(side) == 0;
		/* Bytes that were read are written at once: mostly there is room. */
		if (is_good && conn->deadline_us == 0)
			is_good = give(side, other) == 0;
		if (is_good && (awaited & EPOLLOUT) != 0)
			is_good = give(other, side) == 0;
	}
	if (!is_good)
		end(conn, true);
	if (!conn->is_over)
		settle(conn);
	conn->changed(conn, was_connecting);
}

static void
guest_ready(void *context, struct watch *watch, uint32_t events)
{
	(void)context;
	side_ready(watch_owner(watch, struct relay_conn, side[RELAY_CONN_GUEST].socket.watch), RELAY_CONN_GUEST, events);
}

static void
proxy_ready(void *context, struct watch *watch, uint32_t events)
{
	(void)context;
	side_ready(watch_owner(watch, struct relay_conn, side[RELAY_CONN_PROXY].socket.watch), RELAY_CONN_PROXY, events);
}

void
relay_conn_expire(struct relay_conn *conn)
{
	refuse(conn, ETIMEDOUT);
	if (!conn->is_over)
		settle(conn);
}

void
relay_conn_free(struct relay_conn *conn)
{
	for (int i = 0; i < 2; i++)
		relay_socket_close(conn->poller, &conn->side[i].socket, true);
	free(conn);
}
