/*
 * root_list.h - the content of a language's root, as a list. It is made at the start, which mounts
 * it; at level chroot, wardens make trees of links from it.
 */
#ifndef CELLBLOCK_ROOT_LIST_H
#define CELLBLOCK_ROOT_LIST_H

#include <stdbool.h>
#include <stddef.h>

enum rootfs_kind {
	ROOTFS_LINK,   /* a symbolic link */
	ROOTFS_BIND,   /* a file or directory of the host */
	ROOTFS_DEVICE, /* bound too, but may be used as a device */
	ROOTFS_TEXT,   /* a file of the root's own */
};

struct rootfs_entry {
	enum rootfs_kind kind;
	char *path;   /* in the root */
	char *source; /* on the host, where that is another path; else NULL */
	char *target; /* of a link; or the text */
	bool is_dir;
	int tree_fd; /* detached clone of the host's path, or of a mount of our own; -1: not cloned */
};

struct rootfs {
	struct rootfs_entry *entry;
	size_t count;
};

#endif
