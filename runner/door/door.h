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
#include "generation.h"

struct relay_supervisor;

/* The uid that may connect, and its group in *gid. Dies if the configured user does not exist. */
uid_t door_worker_uid(const struct config *config, gid_t *gid);

/*
 * Block the signals that end this generation, and SIGCHLD: from now on they wait for door_serve,
 * which ends it in good order.
 */
void door_block_signals(void);

/* Whether a runner serves on the configured socket. */
bool door_is_served(const struct config *config);

/*
 * In the parent: make the socket, and listen on it. Dies if that fails, or if another runner still
 * serves there after a moment. Returns a close-on-exec, non-blocking descriptor that the caller
 * owns.
 */
int door_listen(const struct config *config);

/*
 * In a generation: give the socket behind `fd`, the parent's, to the configured user. Dies if that
 * fails, or if the configuration names another path: a parent has one socket for its life.
 */
void door_take_listener(const struct config *config, int fd);

/* All that a door needs. The descriptors become its own. */
struct door_setup {
	const struct config *config;
	const struct generation *generation;
	int listen_fd; /* shared with the parent, and with other generations */
	int broker_fd; /* the socket over which connections are handed on */
	pid_t broker_pid;
	uid_t worker_uid; /* that may connect */
	int landlock_abi; /* 0: no Landlock around the door */
	struct relay_supervisor *relay;
};

/*
 * Accept workers, and keep the relay running, if there is one, until a signal ends this generation
 * or the broker dies. A generation that replaces another accepts when it is ready.
 *
 * SIGUSR1          no earlier generation is sent runs any more
 * SIGUSR2          a newer generation serves: accept nobody, and end when the workers have gone
 * SIGTERM          accept nobody, finish the runs, and end; a second one is as SIGINT
 * SIGINT, SIGQUIT  end at once
 *
 * The second and third take runner.drain_ms at most. Dies if Landlock fails. Returns the exit
 * status.
 */
int door_serve(const struct door_setup *setup);

#endif
