/* warden_link.h - requests to a language's warden. */
#ifndef CELLBLOCK_WARDEN_LINK_H
#define CELLBLOCK_WARDEN_LINK_H

#include <stddef.h>

#include "broker/loop.h"
#include "messages.h"

struct broker;
struct language;

/*
 * Send a request with descriptors, which stay the caller's. Never waits. Returns 0, or -1 with
 * errno (ENOTCONN: the warden is down; EAGAIN: it does not read).
 */
int warden_link_send(const struct language *language, const struct warden_request *request, const int *fds, size_t fd_count);

/*
 * Send a request that the warden answers: its own end of a new connection goes first of the
 * descriptors. `ready` is called when the answer can be read from answer->fd, or the connection has
 * ended without one; it closes the watch. Returns 0, or -1 with errno.
 */
int warden_link_ask(struct broker *broker, const struct language *language, const struct warden_request *request, const int *fds,
    size_t fd_count, struct watch *answer, watch_ready *ready);

#endif
