/*
 * door.h - the door: the process of the runner that stays on the host, without any privilege.
 *
 * Workers connect to it. It looks at who they are while uids still mean what they mean on the host (inside the user
 * namespace a worker's uid is not mapped, and every stranger would look alike), and hands the connections to the
 * broker.
 */
#ifndef CELLBLOCK_DOOR_H
#define CELLBLOCK_DOOR_H

#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "door/relay_supervisor.h"

/* Who may connect. Dies if the configured user does not exist. */
uid_t door_worker_uid(const struct config *config, gid_t *gid);

/* From here on a signal that is to end the runner waits for door_serve, which ends it in good order. */
void door_block_signals(void);

/* Make the socket and listen on it. Dies if that fails, or if another runner serves there. Returns a descriptor. */
int door_listen(const struct config *config);

/*
 * Let in workers, and keep the relay, if there is one, until a signal says to end or the broker dies. `listen_fd` is
 * door_listen's; `broker_fd`: where the connections go. `landlock_abi`: 0 for none around the door, which keeps of all files the
 * removal of its socket. Dies if that wall cannot be put up. Returns the exit status.
 */
int door_serve(const struct config *config, int listen_fd, int broker_fd, pid_t broker_pid, uid_t worker_uid,
    int landlock_abi, struct relay_supervisor *relay);

#endif
