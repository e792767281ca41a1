/* root_list.h - the content of a language's root, as a list: made at the start, mounted there or, at level chroot, linked by wardens. */
#ifndef CELLBLOCK_ROOT_LIST_H
#define CELLBLOCK_ROOT_LIST_H

#include <stddef.h>

enum rootfs_kind {
	ROOTFS_LINK,
	ROOTFS_BIND,
	ROOTFS_DEVICE, /* bound like the rest, but may be used as a device */
	ROOTFS_TEXT,   /* a file of the root's own */
};

struct rootfs_entry {
	enum rootfs_kind kind;
	char *path;   /* in the root */
	char *source; /* on the host, where that is another path; else NULL */
	char *target; /* of a link; or the text */
	int is_dir;
	int tree_fd; /* detached clone of the host's path, or a mount of our own; -1 before rootfs_open */
};

struct rootfs {
	struct rootfs_entry *entry;
	size_t count;
};

#endif
