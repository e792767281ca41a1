/*
 * chroot_dir.h - level chroot: the directory with the trees of a runner's cells (in
 * isolation.chroot_dir), and the guard: the process that removes them, and kills whatever is left
 * in them, when the runner has ended.
 */
#ifndef CELLBLOCK_CHROOT_DIR_H
#define CELLBLOCK_CHROOT_DIR_H

#include <sys/types.h>

#include "config.h"

/*
 * Kill the processes that an earlier runner left, put its directory `name` aside, and make a new
 * one, locked: no other runner can have it at the same time. Returns its descriptor, which holds
 * the lock and is the caller's. Needs root. Dies if it fails.
 */
int chroot_dir_open(const struct config *config, const char *name);

/*
 * Fork the guard, which also holds the directory (`dir_fd`) and the uids (`uids_fd`, or -1), and
 * keeps the rights to clean up. It removes all that was put aside. When *alive_fd, which is for the
 * broker alone, is closed in all other processes, it kills all processes of the cells, and removes
 * the directory. Nothing waits for it. Dies if the fork fails.
 */
void chroot_dir_guard(const struct config *config, const char *name, int dir_fd, int uids_fd, int *alive_fd);

/*
 * Remove all that an earlier runner left, unless a runner has it. After a minute the rest of the
 * trees stays for the next start. Returns 0, or -1 with a line in the log.
 */
int chroot_dir_clean(const struct config *config, const char *name);

#endif
