/*
 * tree.h - the root of a language at level chroot, where nothing can be mounted: a tree of hard links.
 *
 * What rootfs.h would bind is linked, file by file, into a first tree, or copied, where it lies on another file system or must
 * not be linked. It is the root of the language's zygotes. Each cell has a tree of its own, for the sake of its /box and /tmp: there
 * the files are links to those of the first one, and nothing but the folders is new.
 *
 * All of it belongs to root and cannot be written by others. What others may not read is left out, and so is what has a setuid bit.
 */
#ifndef CELLBLOCK_TREE_H
#define CELLBLOCK_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "root_list.h"

struct chroot_tree_count {
	uint64_t links;
	uint64_t copies;
	uint64_t folders;
};

/* Make the first tree in the empty folder `tree_fd`. Needs CAP_MKNOD. Returns 0, or -1 with a text in `error`. */
int chroot_tree_make(const struct rootfs *fs, int tree_fd, struct chroot_tree_count *count, char *error, size_t size);

/* Link the files of a folder of the host, and none below it, into the folder `path` of a tree. Likewise. */
int chroot_tree_add_dir(int tree_fd, const char *path, const char *from, char *error, size_t size);

/* Make a tree for a cell, `name` in `parent_fd`, of the first one. Without /box and /tmp. Returns 0, or -1 with errno. */
int chroot_tree_copy(int tree_fd, int parent_fd, const char *name);

#endif
