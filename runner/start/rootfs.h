/*
 * rootfs.h - the read-only root of a language: a skeleton on a tmpfs, and host paths bound into it.
 * Nothing is copied.
 *
 * It is used in two steps, because they need different powers. Paths are looked up and cloned
 * (open_tree) with the rights of the start, so that a start as root reaches files below a private
 * directory. (Not the interpreter: the probe runs it without these rights.) The root is put
 * together from these clones inside the runner's user namespace.
 */
#ifndef CELLBLOCK_ROOTFS_H
#define CELLBLOCK_ROOTFS_H

#include "root_list.h"
#include "start/cell_proc.h"
#include "start/etc_mount.h"

/*
 * Make an empty root with the devices that every program expects. Returns 0, or -1 with a text in
 * `error`.
 */
int rootfs_init(struct rootfs *fs, char *error, size_t size);

/*
 * Add what all languages share: the host's /usr, and /bin, /sbin and the /lib directories as the
 * host has them. Returns 0, or -1 with a text in `error`.
 */
int rootfs_add_machine(struct rootfs *fs, char *error, size_t size);

/*
 * Bind the host's `path`. Symbolic links on the way are made again in the root, so that the path
 * means there the same as on the host. Returns 0, or -1 with a text in `error`.
 */
int rootfs_add(struct rootfs *fs, const char *path, char *error, size_t size);

/*
 * Bind `source`, a file or directory of the host, at `path`. Both are absolute, without links. Does
 * nothing if the root has something there. Returns 0, or -1 with a text in `error`.
 */
int rootfs_add_at(struct rootfs *fs, const char *path, const char *source, char *error, size_t size);

/*
 * Add a symbolic link of the root's own, to where `target` leads on the host. Returns 0, or -1 with
 * a text in `error`.
 */
int rootfs_add_link(struct rootfs *fs, const char *path, const char *target, char *error, size_t size);

/* The same, to `target` as it is, which means something in a cell only. */
int rootfs_add_plain_link(struct rootfs *fs, const char *path, const char *target, char *error, size_t size);

/* Add a file of the root's own, with `text`. Returns 0, or -1 with a text in `error`. */
int rootfs_add_text(struct rootfs *fs, const char *path, const char *text, char *error, size_t size);

/*
 * Clone the host paths of the list. Needs CAP_SYS_ADMIN over the mount namespace. Returns 0, or -1
 * with a text in `error`. The clones belong to `fs`.
 */
int rootfs_open(struct rootfs *fs, char *error, size_t size);

/*
 * Replace the mount tree of this process, which must be alone in its mount namespace, by this root.
 * `proc`: what the root needs for the /proc of its cells (cell_proc.h); NULL: nothing. `etc`: its
 * /etc, of which it has the places of all entries below; NULL: none. Uses up the clones. Returns
 * 0, or -1 with a text in `error`; then the process must not go on.
 */
int rootfs_enter(struct rootfs *fs, const struct cell_proc *proc, const struct etc_mount *etc, char *error, size_t size);

/*
 * Clone the directory `path` of the host, read-only, for rootfs_attach. Returns a descriptor that
 * the caller owns, or -1 with a text in `error`.
 */
int rootfs_clone(const char *path, char *error, size_t size);

/*
 * Mount a clone at `path` in the present root. Returns 0, or -1 with errno. The descriptor stays
 * open.
 */
int rootfs_attach(int tree_fd, const char *path);

/* Free the list, and close its clones. */
void rootfs_free(struct rootfs *fs);

#endif
