/* relay_pump.c - see relay_pump.h. Runs in the relay, over bytes of programs and proxies that it does not look at. */
#define _GNU_SOURCE
#include "relay/relay_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* What a client of a proxy makes of this is "502 Bad Gateway", and not a puzzle. */
static const char unreachable[] = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 39\r\n"
                                  "Connection: close\r\n\r\nThe configured proxy cannot be reached\n";

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

int
watch_for(int epoll_fd, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	int operation = watch->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (watch->fd < 0 || events == watch->events)
		return 0;
	if (epoll_ctl(epoll_fd, operation, watch->fd, &event) != 0)
		return -1;
	watch->events = events;
	return 0;
}

void
watch_close(struct watch *watch, bool is_abrupt)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (watch->fd < 0)
		return;
	if (is_abrupt)
		setsockopt(watch->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(watch->fd);
	watch->fd = -1;
	watch->events = 0;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

static void
end(struct relay_conn *pump, bool is_abrupt)
{
	pump->is_over = true;
	pump->deadline_us = 0;
	for (int i = 0; i < 2; i++)
		watch_close(&pump->side[i].watch, is_abrupt);
}

/* Read once. Returns 0, or -1 if the connection is broken. */
static int
take(struct relay_conn_side *side)
{
	ssize_t n;

	if (side->start == side->end)
		side->start = side->end = 0;
	n = recv(side->watch.fd, side->data + side->end, PUMP_BYTES - side->end, MSG_DONTWAIT);
	if (n > 0)
		side->end += (size_t)n;
	else if (n == 0)
		side->is_ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		return -1;
	return 0;
}

/* Write once, what there is. Returns 0, or -1 if the connection is broken. */
static int
give(struct relay_conn_side *from, struct relay_conn_side *to)
{
	ssize_t n;

	if (to->watch.fd < 0) {
		from->start = from->end; /* nobody is there to have it */
	} else if (from->start < from->end) {
		n = send(to->watch.fd, from->data + from->start, from->end - from->start, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			from->start += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	if (from->is_ended && from->start == from->end && !from->is_told) {
		from->is_told = true;
		if (to->watch.fd >= 0)
			shutdown(to->watch.fd, SHUT_WR);
	}
	return 0;
}

/* Wait for what can be done next, if anything can. */
static void
settle(int epoll_fd, struct relay_conn *pump)
{
	bool is_connecting = pump->deadline_us != 0;

	if (pump->side[PUMP_GUEST].is_told && pump->side[PUMP_PROXY].is_told) {
		end(pump, false);
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct relay_conn_side *side = &pump->side[i], *other = &pump->side[1 - i];
		bool has_room = side->start == side->end || side->end < PUMP_BYTES;
		uint32_t events = (!side->is_ended && has_room ? (uint32_t)EPOLLIN : 0u) |
		    (other->start < other->end ? (uint32_t)EPOLLOUT : 0u);

		if (is_connecting && i == PUMP_PROXY)
			events = EPOLLOUT;
		if (watch_for(epoll_fd, &side->watch, events) != 0) {
			end(pump, true);
			return;
		}
	}
}

/* There will be no connection to the proxy: answer in its place, and read what the guest has to say to its end. */
static void
refuse(struct relay_conn *pump, int error)
{
	struct relay_conn_side *proxy = &pump->side[PUMP_PROXY];

	pump->error = error;
	pump->deadline_us = 0;
	watch_close(&proxy->watch, true);
	memcpy(proxy->data, unreachable, sizeof unreachable - 1);
	proxy->start = 0;
	proxy->end = sizeof unreachable - 1;
	proxy->is_ended = true;
	if (give(proxy, &pump->side[PUMP_GUEST]) != 0)
		end(pump, true);
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
relay_conn_new(int epoll_fd, int guest_fd, const struct sockaddr *proxy, socklen_t proxy_size, uint64_t deadline_us, void *owner)
{
	struct relay_conn *pump = malloc(sizeof *pump);
	int yes = 1;

	if (pump == NULL) {
		close(guest_fd);
		return NULL;
	}
	/* The buffers are left as they are: most of them are never touched. */
	for (int i = 0; i < 2; i++) {
		struct relay_conn_side *side = &pump->side[i];

		side->watch = (struct watch){ .fd = -1 };
		side->start = side->end = 0;
		side->is_ended = side->is_told = false;
	}
	pump->owner = owner;
	pump->next = NULL;
	pump->deadline_us = deadline_us;
	pump->is_over = false;
	pump->error = 0;
	pump->side[PUMP_GUEST].watch.fd = guest_fd;
	setsockopt(guest_fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	pump->side[PUMP_PROXY].watch.fd = begin_connecting(proxy, proxy_size);
	if (pump->side[PUMP_PROXY].watch.fd < 0)
		refuse(pump, errno);
	if (!pump->is_over)
		settle(epoll_fd, pump);
	return pump;
}

/* Connected, or not. */
static void
take_answer(struct relay_conn *pump)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(pump->side[PUMP_PROXY].watch.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (error != 0)
		refuse(pump, error);
	else
		pump->deadline_us = 0;
}

void
relay_conn_ready(int epoll_fd, struct relay_conn *pump, struct watch *watch, uint32_t events)
{
	int i = watch == &pump->side[PUMP_PROXY].watch ? PUMP_PROXY : PUMP_GUEST;
	struct relay_conn_side *side = &pump->side[i], *other = &pump->side[1 - i];
	bool is_good = true;

	if (pump->is_over || watch->fd < 0)
		return; /* an earlier event of this batch has ended it */
	if (i == PUMP_PROXY && pump->deadline_us != 0) {
		take_answer(pump);
		is_good = pump->is_over || give(other, side) == 0;
	} else {
		/* An error or a hang-up shows in what is waited for, and is found by doing that. */
		if ((watch->events & EPOLLIN) != 0 && (events & ~(uint32_t)EPOLLOUT) != 0)
			is_good = take(side) == 0;
		/* What was read is written at once: mostly there is room. */
		if (is_good && pump->deadline_us == 0)
			is_good = give(side, other) == 0;
		if (is_good && (watch->events & EPOLLOUT) != 0)
			is_good = give(other, side) == 0;
	}
	if (!is_good)
		end(pump, true);
	if (!pump->is_over)
		settle(epoll_fd, pump);
}

void
relay_conn_expire(int epoll_fd, struct relay_conn *pump)
{
	refuse(pump, ETIMEDOUT);
	if (!pump->is_over)
		settle(epoll_fd, pump);
}

void
relay_conn_free(struct relay_conn *pump)
{
	for (int i = 0; i < 2; i++)
		watch_close(&pump->side[i].watch, true);
	free(pump);
}
