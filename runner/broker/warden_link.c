/* warden_link.c - see warden_link.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/warden_link.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/language.h"
#include "fdpass.h"

int
warden_link_send(const struct language *language, const struct warden_request *request, const int *fds, size_t fd_count)
{
	if (language->warden.sock < 0) {
		errno = ENOTCONN;
		return -1;
	}
	return fdpass_send(language->warden.sock, request, sizeof *request, fds, fd_count);
}

int
warden_link_ask(struct broker *broker, const struct language *language, const struct warden_request *request, const int *fds,
    size_t fd_count, struct watch *answer, watch_ready *ready)
{
	int pair[2], passed[1 + REQUEST_FDS], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	if (loop_watch(&broker->loop, answer, pair[0], ready) != 0) {
		error = errno;
		fdpass_close(pair, 2);
		errno = error;
		return -1;
	}
	passed[0] = pair[1];
	for (size_t i = 0; i < fd_count; i++)
		passed[i + 1] = fds[i];
	if (warden_link_send(language, request, passed, fd_count + 1) != 0) {
		error = errno;
		loop_unwatch(&broker->loop, answer);
		close(pair[1]);
		errno = error;
		return -1;
	}
	close(pair[1]);
	return 0;
}
