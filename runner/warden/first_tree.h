/*
 * first_tree.h - level chroot: the first tree of a language: the root of its zygotes, and the model
 * of its cells' trees.
 */
#ifndef CELLBLOCK_FIRST_TREE_H
#define CELLBLOCK_FIRST_TREE_H

#include <stddef.h>

#include "config.h"
#include "root_list.h"

/* Its name in the directory of the language's trees, when it is complete. */
#define FIRST_TREE_NAME "first"

/* Its name from the moment when the language wakes up until it is known to be as the host is. */
#define FIRST_TREE_KEPT "kept"

struct first_tree {
	const struct config *config;
	const char *language;      /* for the log */
	const struct rootfs *list; /* its content */
	int trees_fd;              /* the directory of the language's trees */
	/*
	 * The content of the zygotes' working directory: the files of a driver, or an empty main
	 * file, or (both NULL) nothing.
	 */
	const char *driver_dir;
	const char *main_file;
};

/* Descriptors that the warden keeps. */
struct planted {
	int tree_fd;  /* the first tree; one of the stock is locked by it */
	int stock_fd; /* the stock (tree_stock.h); -1: the first tree is none of it */
};

/*
 * Make the tree, unless it exists, and open it. One that is kept is used again if the host's files
 * are still the same; otherwise it goes, and so do the trees of cells, which are like it. A child
 * of this process removes them. If there is a stock that fits, a tree of the stock is the first
 * one, and its name is a link to it. Called in the process that becomes the warden, while it is
 * root of the container and sees its files. Returns 0, or -1 with a text in `error`.
 */
int first_tree_make(const struct first_tree *tree, struct planted *planted, char *error, size_t size);

/*
 * Open the first tree, whose name is in `trees_fd`, in a process that may not see the container's
 * files; `host_fd`: the container's root. Returns a descriptor; or -1 with errno, ENOENT if it is
 * not made yet.
 */
int first_tree_open(int trees_fd, int host_fd);

#endif
