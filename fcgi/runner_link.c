/* runner_link.c - see runner_link.h. Runs in the worker. The runner is trusted; still, size and kind are checked. */
#define _GNU_SOURCE
#include "runner_link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdpass.h"
#include "log.h"

#define ANSWER_MS 2000 /* the runner answers questions between two runs; later than this it hangs */

/* Pauses before each new attempt to connect. */
static const int attempts_ms[] = { 0, 20, 50, 130, 200, 300, 300 };

void
runner_link_init(struct runner_link *link, const struct config *config)
{
	*link = (struct runner_link){ .path = config->socket_path, .config_digest = config->digest, .fd = -1 };
}

void
runner_link_close(struct runner_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

/* poll(2) on one descriptor, or for none a pause. Returns whether there is something to read. */
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

int
runner_link_receive(struct runner_link *link, struct proto_reply *reply)
{
	int no_fd;
	size_t fd_count;
	ssize_t n = fdpass_recv(link->fd, reply, sizeof *reply, &no_fd, 0, &fd_count, NULL);

	if (n == (ssize_t)sizeof *reply)
		return 0;
	if (n < 0)
		log_warn("%s: %s", link->path, strerror(errno));
	else if (n == 0)
		log_warn("%s: the runner closed the connection", link->path);
	else
		log_warn("%s: a message of %zd bytes is not of this protocol", link->path, n);
	runner_link_close(link);
	return -1;
}

static int
connect_once(struct runner_link *link)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct proto_reply reply;

	if (strlen(link->path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, link->path);
	/* Non-blocking, because a runner that is busy starting, with its backlog full, must not stop us. */
	link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0)
		return -1;
	if (connect(link->fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int error = errno;

		runner_link_close(link);
		errno = error;
		return -1;
	}
	if (!wait_readable(link->fd, ANSWER_MS)) {
		runner_link_close(link);
		errno = ETIMEDOUT;
		return -1;
	}
	if (runner_link_receive(link, &reply) < 0) {
		errno = ECONNRESET;
		return -1;
	}
	link->stale = reply.kind != PROTO_WELCOME || reply.u.welcome.version != PROTO_VERSION ||
	    reply.u.welcome.config_digest != link->config_digest;
	link->level = reply.u.welcome.level;
	if (link->stale) {
		runner_link_close(link);
		errno = ESTALE;
		return -1;
	}
	return 0;
}

static int
connect_again(struct runner_link *link, bool patience)
{
	size_t attempts = patience ? sizeof attempts_ms / sizeof attempts_ms[0] : 1;

	for (size_t i = 0; i < attempts && !link->stale; i++) {
		if (attempts_ms[i] > 0)
			wait_readable(-1, attempts_ms[i]);
		if (connect_once(link) == 0)
			return 0;
	}
	log_warn("%s: %s", link->path, link->stale ? "the runner has read another configuration" : strerror(errno));
	return -1;
}

int
runner_link_send(struct runner_link *link, const struct proto_request *request, const int *fds, size_t fd_count,
    bool patience)
{
	if (link->fd >= 0) {
		if (fdpass_send(link->fd, request, sizeof *request, fds, fd_count) == 0)
			return 0;
		runner_link_close(link);
	}
	link->stale = false;
	if (connect_again(link, patience) < 0)
		return -1;
	if (fdpass_send(link->fd, request, sizeof *request, fds, fd_count) == 0)
		return 0;
	log_warn("%s: %s", link->path, strerror(errno));
	runner_link_close(link);
	return -1;
}

int
runner_link_ask(struct runner_link *link, const struct proto_request *question, bool patience,
    struct proto_reply *reply)
{
	if (runner_link_send(link, question, NULL, 0, patience) < 0)
		return -1;
	if (!wait_readable(link->fd, ANSWER_MS)) {
		log_warn("%s: no answer in %d ms", link->path, ANSWER_MS);
		runner_link_close(link);
		return -1;
	}
	if (runner_link_receive(link, reply) < 0)
		return -1;
	if (reply->kind != question->kind) {
		log_warn("%s: asked %u, answered %u", link->path, question->kind, reply->kind);
		runner_link_close(link);
		return -1;
	}
	return 0;
}
