/* first_tree.c - see first_tree.h. Runs in a warden, before it drops its capabilities. */
#define _GNU_SOURCE
#include "warden/first_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "kernel/dirtree.h"
#include "log.h"
#include "paths.h"
#include "warden/chroot_tree.h"

/*
 * Fill the working directory of zygotes, as build_zygotes_root in start/language_prepare.c does at
 * the other level.
 */
static int
fill_box(const struct first_tree *tree, int tree_fd, char *error, size_t size)
{
	char path[4096];
	int fd;

	if (tree->driver_dir != NULL)
		return chroot_tree_add_dir(tree_fd, PATH_BOX, tree->driver_dir, error, size);
	if (tree->main_file == NULL)
		return 0;
	snprintf(path, sizeof path, "%s/%s", &PATH_BOX[1], tree->main_file);
	fd = openat(tree_fd, path, O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		snprintf(error, size, "make the zygotes' %s: %s", path, strerror(errno));
		return -1;
	}
	close(fd);
	return 0;
}

int
first_tree_make(const struct first_tree *tree, char *error, size_t size)
{
	static const char unfinished[] = "unfinished";
	struct chroot_tree_count count;
	uint64_t begun_us = clock_us();
	int tree_fd, result;

	if (faccessat(tree->trees_fd, FIRST_TREE_NAME, F_OK, 0) == 0)
		return 0;
	if (dirtree_remove(tree->trees_fd, unfinished) != 0 || mkdirat(tree->trees_fd, unfinished, 0755) != 0 ||
	    (tree_fd = openat(tree->trees_fd, unfinished, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		snprintf(error, size, "make a directory for a tree: %s", strerror(errno));
		return -1;
	}
	result = chroot_tree_make(tree->list, tree_fd, &count, error, size);
	if (result == 0)
		result = fill_box(tree, tree_fd, error, size);
	close(tree_fd);
	if (result != 0)
		return -1;
	log_info("%s: its first tree has %" PRIu64 " links, %" PRIu64 " copies and %" PRIu64 " directories, made in %" PRIu64
	         " ms",
	    tree->language, count.links, count.copies, count.directories, (clock_us() - begun_us) / 1000);
	/* Zygotes wait for this name. */
	if (renameat(tree->trees_fd, unfinished, tree->trees_fd, FIRST_TREE_NAME) != 0) {
		snprintf(error, size, "name a tree: %s", strerror(errno));
		return -1;
	}
	return 0;
}
