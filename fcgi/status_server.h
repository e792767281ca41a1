/*
 * status_server.h - the status process: it answers how the service is, whatever the load of runs.
 *
 * It has a socket of its own between nginx and itself, and a connection of its own to the runner,
 * so no run can be in its way.
 */
#ifndef CELLBLOCK_STATUS_SERVER_H
#define CELLBLOCK_STATUS_SERVER_H

#include "config.h"
#include "config_key.h"
#include "policy.h"

/*
 * Confine this process, and serve the requests that arrive at descriptor 0, a listening socket,
 * until SIGTERM, or until the runner has another configuration. `ready` is called when the process
 * begins to accept; NULL: nobody needs to know. Returns after the last request is answered; the
 * caller then ends with status 0. Dies if a step of the start fails.
 */
void status_server(const struct config *config, const struct key_list *keys, const struct policy *policy, void (*ready)(void));

#endif
