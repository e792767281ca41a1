/*
 * chroot_dir.h - level chroot: the folder in which a runner has the trees of its cells (isolation.chroot_dir), and what sees to it
 * that nothing is left of them, or of what ran in them.
 */
#ifndef CELLBLOCK_CHROOT_DIR_H
#define CELLBLOCK_CHROOT_DIR_H

#include <sys/types.h>

#include "config.h"

/*
 * Kill what an earlier runner left of its cells, put aside what it left in the folder `name`, and make that anew and hold it: no
 * other runner can have it at the same time. Returns it. Needs root. Dies if that cannot be done.
 */
int chroot_dir_open(const struct config *config, const char *name);

/*
 * Fork a process that holds the folder (`dir_fd`) too, and keeps the rights to remove it. It removes what was put aside, and
 * when all others have closed *alive_fd, which is for the broker alone, it kills what is left of the cells, and removes the
 * folder. Nobody waits for it. Dies if that fails.
 */
void chroot_dir_guard(const struct config *config, const char *name, int dir_fd, int uids_fd, int *alive_fd);

/* Remove what is left, unless a runner has it. Returns 0, or -1 with a line in the log. */
int chroot_dir_clean(const struct config *config, const char *name);

#endif
