/*
 * door.h - the door: the process of the runner that stays on the host, without any privilege.
 *
 * Workers connect to it. It looks at their uids while those still mean what they mean on the host:
 * inside the user namespace a worker's uid is not mapped, and every stranger would look the same.
 * It hands the connections to the broker.
 */
#ifndef CELLBLOCK_DOOR_H
#define CELLBLOCK_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

struct relay_supervisor;

/* The uid that may connect, and its group in *gid. Dies if the configured user does not exist. */
uid_t door_worker_uid(const struct config *config, gid_t *gid);

/*
 * Block the signals that end the runner, and SIGCHLD: from now on they wait for door_serve, which
 * ends it in good order.
 */
void door_block_signals(void);

/* Whether a runner serves on the configured socket. */
bool door_is_served(const struct config *config);

/*
 * Make the socket, and listen on it. Dies if that fails, or if another runner serves there. Returns
 * a close-on-exec descriptor that the caller owns.
 */
int door_listen(const struct config *config);

/*
 * Accept workers, and keep the relay running, if there is one, until a signal ends the runner or
 * the broker dies. `listen_fd`: door_listen's. `broker_fd`: the socket over which connections are
 * handed on. `landlock_abi`: 0 for no Landlock around the door; with it the door may remove its
 * socket, and nothing else of the file system. Dies if Landlock fails. Returns the exit status.
 */
int door_serve(const struct config *config, int listen_fd, int broker_fd, pid_t broker_pid, uid_t worker_uid, int landlock_abi,
    struct relay_supervisor *relay);

#endif
