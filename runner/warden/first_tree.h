/* first_tree.h - level chroot: the first tree of a language, from which wardens make those of the cells, and zygotes live in. */
#ifndef CELLBLOCK_FIRST_TREE_H
#define CELLBLOCK_FIRST_TREE_H

#include <stddef.h>

#include "root_list.h"

/* Its name in the directory of the language's trees. Under this name it is complete. */
#define FIRST_TREE_NAME "first"

struct first_tree {
	const char *language;       /* for the log */
	const struct rootfs *list;  /* its content */
	int trees_fd;               /* the directory of the language's trees */
	/* What a zygote finds in its working directory: the files of a driver, or an empty main file, or (both NULL) nothing. */
	const char *driver_dir;
	const char *main_file;
};

/*
 * Make the tree, unless it is there. Called in a warden to be, which is root of the container and sees its files. Returns 0, or
 * -1 with a text in `error`.
 */
int first_tree_make(const struct first_tree *tree, char *error, size_t size);

#endif
