/* clean.h - removes everything that a runner which was killed left on the host. */
#ifndef CELLBLOCK_CLEAN_H
#define CELLBLOCK_CLEAN_H

#include "config.h"

/*
 * Remove the socket, the control groups and, at level chroot, the trees and processes of a runner
 * with this configuration. Does nothing if such a runner serves. Returns the exit status: 1 if it
 * serves, or if something cannot be removed.
 */
int clean(struct config *config);

#endif
