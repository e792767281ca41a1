/* warden_requests.h - the requests that wardens of both levels carry out in the same way. */
#ifndef CELLBLOCK_WARDEN_REQUESTS_H
#define CELLBLOCK_WARDEN_REQUESTS_H

#include <stddef.h>
#include <stdint.h>

#include "messages.h"
#include "warden/warden.h"

/*
 * Wait for the next request. Returns the number of descriptors that came with it, which are the
 * caller's to close. Ends the process when the broker is gone, or if the request makes no sense.
 */
size_t warden_requests_wait(const struct warden_config *config, int sock, struct warden_request *request, int fds[REQUEST_FDS]);

/* WARDEN_IDENTIFY. `root_fd`: the root of the language. */
void warden_requests_identify(const struct warden_config *config, int root_fd, int answer_fd);

/*
 * WARDEN_RECLAIM: begin, in a child, which holds `answer_fd` until it has ended. The warden goes on
 * making cells.
 */
void warden_requests_reclaim(int answer_fd, int file_fd, uint64_t bytes);

#endif
