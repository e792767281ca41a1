/*
 * chroot_tree.h - the root of a language at level chroot, where nothing can be mounted: a tree of
 * hard links.
 *
 * The files that level namespaces would bind are linked, one by one, into a first tree. A file on
 * another file system, or one that must not be linked, is copied. The first tree is the root of the
 * language's zygotes. Each cell has a tree of its own, for its /box and /tmp: its files are links
 * to those of the first tree, and only its directories are new.
 *
 * All of it belongs to root, and others cannot write it. Files that others may not read, or that
 * have a setuid bit, are left out.
 */
#ifndef CELLBLOCK_CHROOT_TREE_H
#define CELLBLOCK_CHROOT_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "root_list.h"
#include "string_list.h"
#include "warden/tree_stamp.h"

struct chroot_tree_count {
	uint64_t links;
	uint64_t copies;
	uint64_t directories;
};

/*
 * Make the first tree in the directory `tree_fd`, without the host directories that a pattern of
 * `left_out` fits, and count its entries. *stamp gets the directories of the host; NULL: there is
 * no stamp. Whatever exists in the tree stays. Needs CAP_MKNOD. Returns 0, or -1 with a text in
 * `error`.
 */
int chroot_tree_make(const struct rootfs *fs, const struct strings *left_out, int tree_fd, struct tree_stamp *stamp,
    struct chroot_tree_count *count, char *error, size_t size);

/*
 * Link the files of the host's directory `from`, and none below it, into the directory `path` of a
 * tree. Returns 0, or -1 with a text in `error`.
 */
int chroot_tree_add_dir(int tree_fd, const char *path, const char *from, char *error, size_t size);

/*
 * Add the host's /usr to the tree `tree_fd`, and nothing else; the rest is as with
 * chroot_tree_make.
 */
int chroot_tree_add_usr(int tree_fd, const struct strings *left_out, struct tree_stamp *stamp, struct chroot_tree_count *count,
    char *error, size_t size);

/*
 * Make the tree of a cell, `name` in `parent_fd`, from the first tree, without /box and /tmp.
 * Returns 0, or -1 with errno.
 */
int chroot_tree_copy(int tree_fd, int parent_fd, const char *name);

/*
 * The same into the open directory `to_fd`, which has /usr and nothing else. Returns 0, or -1 with
 * errno.
 */
int chroot_tree_copy_rest(int tree_fd, int to_fd);

#endif
