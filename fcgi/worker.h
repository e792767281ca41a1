/* worker.h - the life of a worker process: it serves requests from nginx over FastCGI. */
#ifndef CELLBLOCK_WORKER_H
#define CELLBLOCK_WORKER_H

#include "config.h"
#include "config_key.h"
#include "policy.h"

#define WORKER_LISTEN_FD 0 /* the listening socket */

/*
 * Confine this process, and serve the requests that arrive at descriptor WORKER_LISTEN_FD until
 * SIGTERM, or until the runner has another configuration. `ready` is called when the process begins
 * to accept; NULL: nobody needs to know. Returns after the last request is answered; the caller then
 * ends with status 0. Dies if a step of the start fails. What it is given stays the caller's.
 */
void worker_serve(const struct config *config, const struct key_list *keys, const struct policy *policy, void (*ready)(void));

/*
 * How many processes a service needs, so that all requests that may run and wait are in it, and
 * none waits in the socket's backlog.
 */
uint32_t worker_processes(const struct config *config);

#endif
