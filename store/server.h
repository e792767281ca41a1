/*
 * server.h - the routes of the store: PUT, HEAD, GET and DELETE of files, from nginx over FastCGI.
 */
#ifndef CELLBLOCK_STORE_SERVER_H
#define CELLBLOCK_STORE_SERVER_H

#include "config.h"
#include "config_key.h"
#include "policy.h"
#include "store.h"

/*
 * Confine this process to the store's directory `dir_fd`, and serve the requests that arrive at
 * descriptor 0, a listening socket, and those of the workers, until SIGTERM. Uploads that last
 * longer than a few seconds then are broken off. Dies if a step of the start fails.
 *
 * `store` is NULL, and `dir_fd` -1, if the configuration has no store: then each request is
 * answered with 404.
 */
void server_serve(const struct config *config, const struct key_list *keys, const struct policy *policy, struct store *store,
    int dir_fd);

#endif
