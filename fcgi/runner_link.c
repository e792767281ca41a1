/*
 * runner_link.c - see runner_link.h. Runs in the worker. The runner is trusted; size and kind are
 * checked all the same.
 */
#define _GNU_SOURCE
#include "runner_link.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdpass.h"

#define ANSWER_MS 2000 /* the runner answers questions between two runs; if it needs longer, it hangs */

/* Pauses before the attempts to connect. */
static const int attempts_ms[] = { 0, 20, 50, 130, 200, 300, 300 };

void
runner_link_init(struct runner_link *link, const struct config *config)
{
	*link = (struct runner_link){ .config = config, .path = config->socket_path, .config_digest = config->digest, .fd = -1 };
}

void
runner_link_close(struct runner_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	link->moved = false;
}

/* Note why a call fails, and close the connection. Returns -1, for the caller to return. */
static int __attribute__((format(printf, 2, 3))) fail(struct runner_link *link, const char *format, ...)
{
	int at = snprintf(link->error, sizeof link->error, "%.128s: ", link->path);
	va_list args;

	va_start(args, format);
	vsnprintf(link->error + at, sizeof link->error - (size_t)at, format, args);
	va_end(args);
	runner_link_close(link);
	return -1;
}

/* poll(2) on one descriptor; with fd -1, a pause. Returns whether there is something to read. */
static bool
wait_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* The same as runner_link_receive, for a message with at most `fd_max` (0 or 1) descriptors. */
static int
receive(struct runner_link *link, struct proto_reply *reply, int *fd, size_t fd_max, size_t *fd_count)
{
	ssize_t n = fdpass_recv(link->fd, reply, sizeof *reply, fd, fd_max, fd_count, NULL);

	if (n == (ssize_t)sizeof *reply) {
		if (reply->kind != PROTO_MOVED)
			return 0;
		link->moved = true;
		return 1;
	}
	if (n < 0)
		return fail(link, "receive: %s", strerror(errno));
	if (n == 0)
		return fail(link, "receive: the runner closed the connection");
	fdpass_close(fd, *fd_count);
	return fail(link, "receive: a message of %zd bytes is not of this protocol", n);
}

int
runner_link_receive(struct runner_link *link, struct proto_reply *reply)
{
	int no_fd;
	size_t fd_count;

	return receive(link, reply, &no_fd, 0, &fd_count);
}

int
runner_link_receive_fd(struct runner_link *link, struct proto_reply *reply, int *fd)
{
	size_t fd_count;
	int received;

	*fd = -1;
	received = receive(link, reply, fd, 1, &fd_count);
	if (received != 0)
		fdpass_close(fd, 1);
	return received;
}

static int
connect_once(struct runner_link *link)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct proto_reply reply;
	int received;

	if (strlen(link->path) >= sizeof address.sun_path)
		return fail(link, "connect: %s", strerror(ENAMETOOLONG));
	strcpy(address.sun_path, link->path);
	/*
	 * Non-blocking: a runner that is busy starting, with its backlog full, must not stop the
	 * worker.
	 */
	link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0)
		return fail(link, "socket: %s", strerror(errno));
	if (connect(link->fd, (struct sockaddr *)&address, sizeof address) != 0)
		return fail(link, "connect: %s", strerror(errno));
	if (!wait_readable(link->fd, ANSWER_MS))
		return fail(link, "connect: no welcome in %d ms", ANSWER_MS);
	received = runner_link_receive(link, &reply);
	if (received != 0)
		return received < 0 ? -1 : fail(link, "connect: message %u instead of a welcome", reply.kind);
	link->other_config = reply.u.welcome.config_digest != link->config_digest;
	link->stale = reply.kind != PROTO_WELCOME || reply.u.welcome.version != PROTO_VERSION ||
	    (link->other_config && !link->any_config);
	link->level = reply.u.welcome.level;
	if (link->stale)
		return fail(link, "connect: the runner has another configuration or protocol version");
	link->connections++;
	return 0;
}

/*
 * Exchange the connection for one to the newer runner. If that is not possible the connection
 * stays. Returns 0 or -1.
 */
static int
move(struct runner_link *link)
{
	struct runner_link next = *link;

	next.fd = -1;
	next.moved = next.stale = false;
	if (connect_once(&next) != 0) {
		link->stale = next.stale;
		memcpy(link->error, next.error, sizeof link->error);
		return -1;
	}
	runner_link_close(link);
	*link = next;
	return 0;
}

static int
connect_again(struct runner_link *link, enum reconnect reconnect)
{
	size_t attempts = reconnect == RECONNECT_PATIENTLY ? sizeof attempts_ms / sizeof attempts_ms[0] : 1;

	link->stale = false;
	for (size_t i = 0; i < attempts && !link->stale; i++) {
		if (attempts_ms[i] > 0)
			wait_readable(-1, attempts_ms[i]);
		if (connect_once(link) == 0)
			return 0;
	}
	return -1;
}

int
runner_link_connect(struct runner_link *link)
{
	if (link->fd < 0)
		return connect_again(link, RECONNECT_ONCE);
	if (link->moved)
		move(link);
	return 0;
}

int
runner_link_idle(struct runner_link *link)
{
	struct proto_reply reply;
	int received = runner_link_receive(link, &reply);

	if (received == 0)
		return fail(link, "receive: message %u was not asked for", reply.kind);
	if (received < 0)
		return -1;
	move(link);
	return 0;
}

int
runner_link_send(struct runner_link *link, const struct proto_request *request, const int *fds, size_t fd_count,
    enum reconnect reconnect)
{
	if (link->moved && reconnect != RECONNECT_NEVER)
		move(link);
	if (link->fd >= 0) {
		if (fdpass_send_patiently(link->fd, request, sizeof *request, fds, fd_count) == 0)
			return 0;
		fail(link, "send: %s", strerror(errno));
	} else if (reconnect == RECONNECT_NEVER) {
		fail(link, "send: not connected");
	}
	if (reconnect == RECONNECT_NEVER)
		return -1;
	if (connect_again(link, reconnect) != 0)
		return -1;
	if (fdpass_send_patiently(link->fd, request, sizeof *request, fds, fd_count) != 0)
		return fail(link, "send: %s", strerror(errno));
	return 0;
}

/* Ask, for a reply with at most `fd_max` (0 or 1) descriptors, which comes within `wait_ms`. */
static int
ask(struct runner_link *link, const struct proto_request *request, enum reconnect reconnect, int wait_ms,
    struct proto_reply *reply, int *fd, size_t fd_max)
{
	size_t fd_count;
	int received;

	if (runner_link_send(link, request, NULL, 0, reconnect) != 0)
		return -1;
	do {
		if (!wait_readable(link->fd, wait_ms))
			return fail(link, "no answer in %d ms", wait_ms);
		received = receive(link, reply, fd, fd_max, &fd_count);
	} while (received > 0);
	if (received < 0)
		return -1;
	if (reply->kind == request->kind && fd_count == fd_max)
		return 0;
	fdpass_close(fd, fd_count);
	return fail(link, "request of kind %u: the reply is of kind %u, with %zu descriptor(s)", request->kind, reply->kind,
	    fd_count);
}

int
runner_link_ask(struct runner_link *link, const struct proto_request *request, enum reconnect reconnect,
    struct proto_reply *reply)
{
	int no_fd;

	return ask(link, request, reconnect, ANSWER_MS, reply, &no_fd, 0);
}

int
runner_link_ask_to_start(struct runner_link *link, const struct proto_request *request, uint64_t start_ms,
    struct proto_reply *reply)
{
	int no_fd, wait_ms = start_ms < INT_MAX - ANSWER_MS ? (int)start_ms + ANSWER_MS : INT_MAX;

	return ask(link, request, RECONNECT_PATIENTLY, wait_ms, reply, &no_fd, 0);
}

int
runner_link_ask_fd(struct runner_link *link, const struct proto_request *request, enum reconnect reconnect,
    struct proto_reply *reply, int *fd)
{
	return ask(link, request, reconnect, ANSWER_MS, reply, fd, 1);
}
