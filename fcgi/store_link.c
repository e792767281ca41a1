/* store_link.c - see store_link.h. Runs in the worker and in the status process. */
#define _GNU_SOURCE
#include "store_link.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdpass.h"

#define HASTY_MS 500
#define ANSWER_MS 15000 /* STORE_KEEP writes a file to the disk, and others may wait for that */

/* Pauses before the attempts to connect. */
static const int attempts_ms[] = { 0, 20, 50, 130, 200, 300, 300 };

void
store_link_close(struct store_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

/* Note why a call fails, and close the connection. Returns -1, for the caller to return. */
static int __attribute__((format(printf, 2, 3))) fail(struct store_link *link, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(link->error, sizeof link->error, format, args);
	va_end(args);
	store_link_close(link);
	return -1;
}

static int
connect_once(struct store_link *link, const struct sockaddr_un *address)
{
	link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0)
		return fail(link, "socket: %s", strerror(errno));
	if (connect(link->fd, (const struct sockaddr *)address, sizeof *address) != 0)
		return fail(link, "%.108s: connect: %s", address->sun_path, strerror(errno));
	return 0;
}

int
store_link_connect(struct store_link *link, const struct config *config)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (link->fd >= 0)
		return 0;
	if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/" STORE_SOCKET, config->store_dir) >=
	    sizeof address.sun_path)
		return fail(link, "files.store: %s", strerror(ENAMETOOLONG));
	for (size_t i = 0; i < (link->is_hasty ? 1 : sizeof attempts_ms / sizeof attempts_ms[0]); i++) {
		if (attempts_ms[i] > 0)
			poll(NULL, 0, attempts_ms[i]);
		if (connect_once(link, &address) == 0)
			return 0;
	}
	return -1;
}

/* Receive the reply. Returns 0, or -1 with the connection closed. */
static int
receive(struct store_link *link, const struct store_request *request, struct store_more *more, struct store_reply *reply)
{
	size_t count = request->kind == STORE_FIND ? request->count : 0, size = sizeof *reply + count * sizeof(uint64_t),
	       fd_count = 0;
	struct pollfd store = { .fd = link->fd, .events = POLLIN };
	char *answer = malloc(size);
	int n, given = -1, wait_ms = link->is_hasty ? HASTY_MS : ANSWER_MS;
	ssize_t received;

	if (answer == NULL)
		return fail(link, "out of memory");
	do
		n = poll(&store, 1, wait_ms);
	while (n < 0 && errno == EINTR);
	received = n > 0 ? fdpass_recv(link->fd, answer, size, &given, 1, &fd_count, NULL) : -1;
	if (received == (ssize_t)size) {
		memcpy(reply, answer, sizeof *reply);
		if (more != NULL && count > 0)
			memcpy(more->sizes, answer + sizeof *reply, count * sizeof(uint64_t));
	}
	free(answer);
	if (received == (ssize_t)size && reply->kind == request->kind &&
	    (fd_count == 1) == (request->kind == STORE_OPEN && reply->fault == STORE_OK)) {
		if (more != NULL)
			more->fd = given;
		return 0;
	}
	if (fd_count > 0)
		fdpass_close(&given, 1);
	return n == 0 ? fail(link, "the store has not answered in %d ms", wait_ms) :
	                fail(link, "the store closed the connection, or sent a wrong answer");
}

int
store_link_ask(struct store_link *link, const struct store_request *request, struct store_more *more, struct store_reply *reply)
{
	size_t bytes = request->kind == STORE_FIND ? (size_t)request->count * PROTO_DIGEST_SIZE : 0;
	char *message = malloc(sizeof *request + bytes);
	int sent;

	if (more != NULL)
		more->fd = -1;
	if (message == NULL)
		return fail(link, "out of memory");
	memcpy(message, request, sizeof *request);
	if (more != NULL && bytes > 0)
		memcpy(message + sizeof *request, more->digests, bytes);
	sent = fdpass_send_patiently(link->fd, message, sizeof *request + bytes,
	    more != NULL && request->kind == STORE_KEEP ? &more->sent_fd : NULL, request->kind == STORE_KEEP);
	free(message);
	if (sent != 0)
		return fail(link, "the store: send: %s", strerror(errno));
	return receive(link, request, more, reply);
}
