/*
 * tree_stock.c - see tree_stock.h. Runs while an image is built, at the start, in the guard, and in
 * wardens.
 */
#define _GNU_SOURCE
#include "warden/tree_stock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/dirtree.h"
#include "log.h"
#include "warden/chroot_tree.h"
#include "warden/tree_stamp.h"

#define STAMP "stamp"
#define LEFT_OUT "left-out" /* the patterns of isolation.chroot_leave_out, each with a newline */

static int
failed(char *error, size_t size, const char *step, const char *path)
{
	snprintf(error, size, "%s %s: %s", step, path, strerror(errno));
	return -1;
}

static int
open_stock(const struct config *config)
{
	return open(config->chroot_stock, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- making it ---------------------------------------------------------------------------------- */

/*
 * The patterns of the configuration, as the file has them. Returns the text, to be freed; or NULL.
 */
static char *
left_out_text(const struct config *config, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < config->chroot_leave_out.count; i++)
		fprintf(out, "%s\n", config->chroot_leave_out.item[i]);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static int
write_left_out(const struct config *config, int stock_fd)
{
	size_t size = 0;
	char *text = left_out_text(config, &size);
	int fd = text == NULL ? -1 : openat(stock_fd, LEFT_OUT, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool is_good = fd >= 0 && write(fd, text, size) == (ssize_t)size;

	if (fd >= 0 && close(fd) != 0)
		is_good = false;
	free(text);
	return is_good ? 0 : -1;
}

/* Make tree 0 from the host's /usr, and a stamp. */
static int
make_model(const struct config *config, int stock_fd, char *error, size_t size)
{
	struct chroot_tree_count count = { 0 };
	struct tree_stamp stamp;
	int tree_fd, result;

	if (mkdirat(stock_fd, "0", 0755) != 0 || (tree_fd = openat(stock_fd, "0", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return failed(error, size, "make a tree in", config->chroot_stock);
	if (tree_stamp_begin(&stamp, stock_fd, STAMP, STAMP_OF_IMAGE) != 0) {
		close(tree_fd);
		return failed(error, size, "write a stamp in", config->chroot_stock);
	}
	result = chroot_tree_add_usr(tree_fd, &config->chroot_leave_out, &stamp, &count, error, size);
	close(tree_fd);
	if (tree_stamp_finish(&stamp) != 0 && result == 0)
		result = failed(error, size, "write a stamp in", config->chroot_stock);
	if (result == 0)
		printf("a tree has %" PRIu64 " links, %" PRIu64 " copies and %" PRIu64 " directories\n", count.links,
		    count.copies, count.directories);
	return result;
}

int
tree_stock_make(const struct config *config, uint32_t count, char *error, size_t size)
{
	int stock_fd, model_fd, result;
	char name[16];

	if (config->chroot_stock == NULL) {
		snprintf(error, size, "isolation.chroot_stock is not set");
		return -1;
	}
	if ((mkdir(config->chroot_stock, 0700) != 0 && errno != EEXIST) || dirtree_empty(AT_FDCWD, config->chroot_stock) != 0 ||
	    (stock_fd = open_stock(config)) < 0)
		return failed(error, size, "make", config->chroot_stock);
	result = make_model(config, stock_fd, error, size);
	model_fd = openat(stock_fd, "0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (uint32_t i = 1; result == 0 && i < count; i++) {
		snprintf(name, sizeof name, "%" PRIu32, i);
		if (chroot_tree_copy(model_fd, stock_fd, name) != 0)
			result = failed(error, size, "link the files of tree 0 into tree", name);
	}
	/* It is whole with this file. */
	if (result == 0 && write_left_out(config, stock_fd) != 0)
		result = failed(error, size, "write to", config->chroot_stock);
	if (model_fd >= 0)
		close(model_fd);
	close(stock_fd);
	return result;
}

/* ---- using it ----------------------------------------------------------------------------------- */

static bool
has_usr(const struct rootfs *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rootfs_entry *entry = &list->entry[i];

		if (entry->kind == ROOTFS_BIND && entry->is_dir && entry->source == NULL && strcmp(entry->path, "/usr") == 0)
			return true;
	}
	return false;
}

/* Whether the trees were made with the patterns of this configuration. */
static bool
leaves_out_the_same(const struct config *config, int stock_fd)
{
	size_t size = 0, done = 0;
	char *text = left_out_text(config, &size), *found = text == NULL ? NULL : malloc(size + 1);
	int fd = found == NULL ? -1 : openat(stock_fd, LEFT_OUT, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = 0;
	bool same;

	while (fd >= 0 && done <= size && (n = read(fd, found + done, size + 1 - done)) > 0)
		done += (size_t)n;
	same = fd >= 0 && n >= 0 && done == size && memcmp(text, found, size) == 0;
	if (fd >= 0)
		close(fd);
	free(found);
	free(text);
	return same;
}

/* Why it cannot be used; NULL: it can. */
static const char *
find_fault(const struct config *config, const struct rootfs *list, int stock_fd, int trees_fd)
{
	struct stat stock, trees;

	if (!has_usr(list))
		return "the language has a root of its own";
	if (fstat(stock_fd, &stock) != 0 || fstat(trees_fd, &trees) != 0 || stock.st_dev != trees.st_dev)
		return "it is not on the file system of isolation.chroot_dir";
	if (stock.st_uid != 0 || (stock.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "others than root may use it";
	if (faccessat(stock_fd, ".", W_OK, AT_EACCESS) != 0)
		return "it cannot be written";
	if (!leaves_out_the_same(config, stock_fd))
		return "it was made with another isolation.chroot_leave_out";
	if (!tree_stamp_holds(stock_fd, STAMP, STAMP_OF_IMAGE))
		return "files below /usr were installed or removed since it was made";
	return NULL;
}

int
tree_stock_open(const struct config *config, const struct rootfs *list, int trees_fd, char *why, size_t size)
{
	int stock_fd = config->chroot_stock == NULL ? -1 : open_stock(config);
	const char *fault;

	if (stock_fd < 0) {
		snprintf(why, size, "%s", config->chroot_stock == NULL ? "there is none" : strerror(errno));
		return -1;
	}
	fault = find_fault(config, list, stock_fd, trees_fd);
	if (fault == NULL)
		return stock_fd;
	snprintf(why, size, "%s", fault);
	close(stock_fd);
	return -1;
}

/* Remove everything in a tree but /usr. Returns 0, or -1 with errno. */
static int
clean_tree(int tree_fd)
{
	int fd = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (directory == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (result == 0 && (entry = readdir(directory)) != NULL) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "usr") == 0)
			continue;
		if (unlinkat(tree_fd, name, 0) != 0 && unlinkat(tree_fd, name, AT_REMOVEDIR) != 0 &&
		    dirtree_remove(tree_fd, name) != 0)
			result = -1;
	}
	closedir(directory);
	return result;
}

int
tree_stock_open_tree(int stock_fd, uint32_t number, bool take)
{
	char name[16];
	int fd;

	snprintf(name, sizeof name, "%" PRIu32, number);
	fd = openat(stock_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && take && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		errno = EWOULDBLOCK;
		return -1;
	}
	return fd;
}

int
tree_stock_take(int stock_fd, uint32_t *number)
{
	int fd;

	for (*number = 0; (fd = tree_stock_open_tree(stock_fd, *number, true)) >= 0 || errno == EWOULDBLOCK; ++*number) {
		/* The guard may remove what a warden may not. */
		if (fd >= 0 && clean_tree(fd) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

void
tree_stock_clean(const struct config *config)
{
	int stock_fd = config->chroot_stock == NULL ? -1 : open_stock(config), fd;

	if (stock_fd < 0)
		return;
	for (uint32_t i = 0; (fd = tree_stock_open_tree(stock_fd, i, true)) >= 0 || errno == EWOULDBLOCK; i++) {
		if (fd >= 0 && clean_tree(fd) != 0 && errno != EROFS)
			log_warn("%s/%" PRIu32 ": empty it: %s", config->chroot_stock, i, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	close(stock_fd);
}
