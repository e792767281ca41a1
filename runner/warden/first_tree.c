/* first_tree.c - see first_tree.h. Runs in a warden, before it drops its capabilities. */
#define _GNU_SOURCE
#include "warden/first_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capabilities.h"
#include "clock.h"
#include "fdpass.h"
#include "kernel/dirtree.h"
#include "kernel/inherit_fds.h"
#include "log.h"
#include "paths.h"
#include "warden/cell_etc.h"
#include "warden/chroot_tree.h"
#include "warden/tree_stamp.h"
#include "warden/tree_stock.h"

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

/* Of the first tree, and of one that is not complete. */
#define STAMP "stamp"
#define STAMP_UNFINISHED "unfinished-stamp"
#define ASIDE ".gone"

#define REMOVER_CAPABILITIES (CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_FOWNER))

static bool
ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length > end_length && strcmp(name + length - end_length, end) == 0;
}

/*
 * Go through the directory of trees: rename all trees that are in use no more, or remove those that
 * were renamed.
 */
static void
clear_away(int trees_fd, bool remove)
{
	int fd = openat(trees_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char aside[NAME_MAX + 64];

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		const char *name = entry->d_name;

		if (remove && ends_with(name, ASIDE)) {
			dirtree_remove(trees_fd, name);
		} else if (!remove && !ends_with(name, ASIDE) &&
		    (strcmp(name, FIRST_TREE_KEPT) == 0 || strncmp(name, "tree-", 5) == 0)) {
			snprintf(aside, sizeof aside, "%s-%" PRIu64 ASIDE, name, clock_us());
			if (renameat(trees_fd, name, trees_fd, aside) != 0)
				log_warn("rename the tree %s, which is out of date: %s", name, strerror(errno));
		}
	}
	if (directory != NULL)
		closedir(directory);
	else if (fd >= 0)
		close(fd);
}

/*
 * Have a child remove the trees that were put aside. Nothing waits for it: what it does not remove,
 * the guard does.
 */
static void
remove_aside(int trees_fd)
{
	pid_t pid;

	/* The kernel reaps it: so does the warden want it for its reapers. */
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid < 0)
		log_warn("start the process that removes trees which are out of date: %s", strerror(errno));
	if (pid != 0)
		return;
	if (inherit_fds_only(&trees_fd, 1, true) == 0 && capabilities_keep(REMOVER_CAPABILITIES) == 0)
		clear_away(INHERIT_FDS_FIRST, true);
	_exit(0);
}

/* Where the first tree is, if it is one of the stock. Returns whether it is. */
static bool
read_place(int trees_fd, const char *name, char path[PATH_MAX])
{
	ssize_t n = readlinkat(trees_fd, name, path, PATH_MAX - 1);

	path[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/*
 * Decide about a tree that was kept while the language slept: give it back its name, or put it and
 * those that are like it aside. One of the stock was free meanwhile, and another one costs little.
 */
static int
use_kept(const struct first_tree *tree, char *error, size_t size)
{
	char path[PATH_MAX];

	if (read_place(tree->trees_fd, FIRST_TREE_KEPT, path)) {
		unlinkat(tree->trees_fd, FIRST_TREE_KEPT, 0);
		return 0;
	}
	if (faccessat(tree->trees_fd, FIRST_TREE_KEPT, F_OK, 0) != 0)
		return 0;
	if (tree_stamp_holds(tree->trees_fd, STAMP, STAMP_OF_HOST)) {
		if (renameat(tree->trees_fd, FIRST_TREE_KEPT, tree->trees_fd, FIRST_TREE_NAME) == 0)
			return 0;
		snprintf(error, size, "name a tree that was kept: %s", strerror(errno));
		return -1;
	}
	log_info("%s: files were installed or removed: its trees are made anew", tree->language);
	clear_away(tree->trees_fd, false);
	remove_aside(tree->trees_fd);
	return 0;
}

/* Make the cells' /etc. Files of the list that lie below it come afterwards. */
static int
fill_etc(const struct first_tree *tree, int tree_fd, struct tree_stamp *stamp, char *error, size_t size)
{
	int etc_fd, result;

	if (mkdirat(tree_fd, "etc", 0755) != 0 || (etc_fd = openat(tree_fd, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		snprintf(error, size, "make the directory etc of a tree: %s", strerror(errno));
		return -1;
	}
	result = cell_etc_make(tree->config, false, etc_fd, error, size);
	if (result == 0 && (result = tree_stamp_add_copied(stamp, etc_fd, "/etc")) != 0)
		snprintf(error, size, "look at the directories of /etc: %s", strerror(errno));
	close(etc_fd);
	return result;
}

static int
open_directory(int trees_fd, const char *name)
{
	return openat(trees_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Make the tree from the container's files. */
static int
make_of_links(const struct first_tree *tree, char *error, size_t size)
{
	static const char unfinished[] = "unfinished";
	struct chroot_tree_count count;
	struct tree_stamp stamp;
	uint64_t begun_us = clock_us();
	int tree_fd, result;

	if (dirtree_remove(tree->trees_fd, unfinished) != 0 || mkdirat(tree->trees_fd, unfinished, 0755) != 0 ||
	    tree_stamp_begin(&stamp, tree->trees_fd, STAMP_UNFINISHED, STAMP_OF_HOST) != 0 ||
	    (tree_fd = open_directory(tree->trees_fd, unfinished)) < 0) {
		snprintf(error, size, "make a directory for a tree: %s", strerror(errno));
		return -1;
	}
	result = fill_etc(tree, tree_fd, &stamp, error, size);
	if (result == 0)
		result = chroot_tree_make(tree->list, &tree->config->chroot_leave_out, tree_fd, &stamp, &count, error, size);
	if (result == 0)
		result = fill_box(tree, tree_fd, error, size);
	close(tree_fd);
	if (tree_stamp_finish(&stamp) != 0 && result == 0) {
		snprintf(error, size, "write the stamp of a tree: %s", strerror(errno));
		result = -1;
	}
	if (result != 0)
		return -1;
	log_info("%s: its first tree has %" PRIu64 " links, %" PRIu64 " copies and %" PRIu64 " directories, made in %" PRIu64
	         " ms",
	    tree->language, count.links, count.copies, count.directories, (clock_us() - begun_us) / 1000);
	/* Zygotes wait for this name. */
	if (renameat(tree->trees_fd, STAMP_UNFINISHED, tree->trees_fd, STAMP) != 0 ||
	    renameat(tree->trees_fd, unfinished, tree->trees_fd, FIRST_TREE_NAME) != 0) {
		snprintf(error, size, "name a tree: %s", strerror(errno));
		return -1;
	}
	return 0;
}

/* Add to a tree of the stock what it lacks: all of the list but /usr. */
static int
complete(const struct first_tree *tree, int tree_fd, char *error, size_t size)
{
	struct rootfs rest = { .entry = calloc(tree->list->count, sizeof *rest.entry) };
	struct tree_stamp stamp = { .paths = NULL }; /* that of the stock counts */
	struct chroot_tree_count count;
	int result;

	if (rest.entry == NULL) {
		snprintf(error, size, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < tree->list->count; i++) {
		if (strcmp(tree->list->entry[i].path, "/usr") != 0)
			rest.entry[rest.count++] = tree->list->entry[i];
	}
	result = fill_etc(tree, tree_fd, &stamp, error, size);
	if (result == 0)
		result = chroot_tree_make(&rest, &tree->config->chroot_leave_out, tree_fd, NULL, &count, error, size);
	if (result == 0)
		result = fill_box(tree, tree_fd, error, size);
	free(rest.entry);
	return result;
}

/*
 * Have a tree of the stock as the first one. Returns 0; or -1 with a text: the trees must be made.
 */
static int
take_from_stock(const struct first_tree *tree, struct planted *planted, char *why, size_t size)
{
	char *stock = NULL, place[PATH_MAX];
	uint64_t begun_us = clock_us();
	uint32_t number = 0;

	planted->stock_fd = tree_stock_open(tree->config, tree->list, tree->trees_fd, why, size);
	if (planted->stock_fd < 0)
		return -1;
	planted->tree_fd = tree_stock_take(planted->stock_fd, &number);
	if (planted->tree_fd < 0) {
		snprintf(why, size, "%s", errno == ENOENT ? "all of its trees are in use" : strerror(errno));
	} else if (complete(tree, planted->tree_fd, why, size) == 0 &&
	    ((stock = realpath(tree->config->chroot_stock, NULL)) == NULL ||
	        snprintf(place, sizeof place, "%s/%" PRIu32, stock, number) >= (int)sizeof place ||
	        symlinkat(place, tree->trees_fd, FIRST_TREE_NAME) != 0)) {
		snprintf(why, size, "name a tree: %s", strerror(errno));
	} else if (stock != NULL) {
		log_info("%s: its first tree is number %" PRIu32 " of the stock, made ready in %" PRIu64 " ms", tree->language,
		    number, (clock_us() - begun_us) / 1000);
		free(stock);
		return 0;
	}
	free(stock);
	fdpass_close(&planted->tree_fd, 1);
	fdpass_close(&planted->stock_fd, 1);
	return -1;
}

/*
 * A warden died, and zygotes of its successor may be in its first tree already: take the lock
 * again. Returns whether it was free.
 */
static bool
take_again(const char *place, struct planted *planted)
{
	char stock[PATH_MAX];
	const char *slash = strrchr(place, '/');

	snprintf(stock, sizeof stock, "%.*s", (int)(slash != NULL ? slash - place : 0), place);
	planted->stock_fd = open(stock, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (planted->stock_fd >= 0)
		planted->tree_fd = tree_stock_open_tree(planted->stock_fd, (uint32_t)strtoul(slash + 1, NULL, 10), true);
	if (planted->tree_fd >= 0)
		return true;
	fdpass_close(&planted->stock_fd, 1);
	return false;
}

int
first_tree_make(const struct first_tree *tree, struct planted *planted, char *error, size_t size)
{
	char place[PATH_MAX], why[512];

	*planted = (struct planted){ .tree_fd = -1, .stock_fd = -1 };
	if (use_kept(tree, error, size) != 0)
		return -1;
	if (read_place(tree->trees_fd, FIRST_TREE_NAME, place)) {
		if (take_again(place, planted))
			return 0;
		unlinkat(tree->trees_fd, FIRST_TREE_NAME, 0);
	}
	if (faccessat(tree->trees_fd, FIRST_TREE_NAME, F_OK, 0) != 0) {
		if (take_from_stock(tree, planted, why, sizeof why) == 0)
			return 0;
		if (tree->config->chroot_stock != NULL)
			log_info("%s: its trees are made, and none of the stock is used: %s", tree->language, why);
		if (make_of_links(tree, error, size) != 0)
			return -1;
	}
	planted->tree_fd = open_directory(tree->trees_fd, FIRST_TREE_NAME);
	if (planted->tree_fd >= 0)
		return 0;
	snprintf(error, size, "open its first tree: %s", strerror(errno));
	return -1;
}

int
first_tree_open(int trees_fd, int host_fd)
{
	char place[PATH_MAX];

	/* The place is an absolute path without links, of the container. */
	return read_place(trees_fd, FIRST_TREE_NAME, place) ? open_directory(host_fd, place + 1) :
	                                                      open_directory(trees_fd, FIRST_TREE_NAME);
}
