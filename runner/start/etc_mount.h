/*
 * etc_mount.h - level namespaces: the mount that is /etc in the root of every language. It holds
 * what warden/cell_etc.h makes. All cells share it.
 */
#ifndef CELLBLOCK_ETC_MOUNT_H
#define CELLBLOCK_ETC_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config.h"
#include "root_list.h"

#define ETC_MOUNT_PATH "/etc"

/* The identity of the mount, so that it cannot be taken for the host's /etc. */
struct etc_mount {
	dev_t device;
	ino_t inode;
};

/*
 * Make a tmpfs with the files, as root of the user namespace, with the host's files in sight.
 * `single_uid`: see cell_etc_make. Returns its descriptor, which is the caller's, or -1 with a text
 * in `error`.
 */
int etc_mount_make(const struct config *config, bool single_uid, char *error, size_t size);

/*
 * Make the places of the paths below /etc that a root has besides, and its links there. Returns 0,
 * or -1 with a text in `error`.
 */
int etc_mount_add_places(int etc_fd, const struct rootfs *fs, char *error, size_t size);

/*
 * Make it read-only, and cover the /etc of this mount namespace with it; roots are made from there.
 * Returns 0, or -1 with a text in `error`. Sets *etc.
 */
int etc_mount_cover(int etc_fd, struct etc_mount *etc, char *error, size_t size);

/*
 * Clone it, in a copy of the mount namespace in which it covers /etc. Returns a descriptor of the
 * clone, or -1 with errno; EXDEV: something else covers /etc.
 */
int etc_mount_clone(const struct etc_mount *etc);

#endif
