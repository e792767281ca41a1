/*
 * start.h - the start of a generation of the runner: from its rights on the host to the processes
 * that serve. Its parent (start/parent.h) has made the socket.
 *
 *     the start, as root or as an ordinary user
 *       finds the ids, compiles the policies, asks the interpreters, clones the mounts, makes the
 *       control groups
 *       |-- door    stays on the host: its own uid, no capability; accepts workers (door/door.c)
 *       |     `-- relay   carries the bytes of cells with a network to the proxies (relay/relay.c)
 *       `-- broker  pid 1 of its namespaces, root of a user namespace that owns nothing on the host
 *             |-- warden, per language: makes cells (warden/warden.c)
 *             |-- zygotes, per language: warm interpreters that fork guests (guest/)
 *             `-- guests, each in its cell, below the wardens' inits
 *
 * At level chroot there is one more, the guard (start/chroot_dir.h), and the broker is root of the
 * container, with few capabilities.
 */
#ifndef CELLBLOCK_START_H
#define CELLBLOCK_START_H

#include "config.h"
#include "generation.h"

/*
 * Start, and serve until a signal or the broker's end. Changes runner.first_uid to that of the
 * generation's slot. Returns the exit status of the door; the
 * broker never returns. Dies if anything that the configuration asks for is unavailable.
 */
int start_serve(struct config *config, const struct generation *generation);

#endif
