/* worker.h - the life of a worker process: it serves requests from nginx over FastCGI. */
#ifndef CELLBLOCK_WORKER_H
#define CELLBLOCK_WORKER_H

#include "config.h"
#include "policy.h"

#define WORKER_LISTEN_FD 0 /* the listening socket */

/*
 * Confine this process, and serve the requests that arrive at descriptor WORKER_LISTEN_FD until
 * SIGTERM. `ready` is called when the process begins to accept; NULL: nobody needs to know. Returns
 * after the last request is answered; the caller then ends with status 0. Dies if a step of the
 * start fails. What it is given stays the caller's.
 */
void worker_serve(const struct config *config, const struct policy *policy, void (*ready)(void));

#endif
