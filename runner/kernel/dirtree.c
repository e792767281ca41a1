/*
 * dirtree.c - see dirtree.h. Every name comes from readdir(3) of an open directory, so no path can
 * be redirected.
 */
#define _GNU_SOURCE
#include "kernel/dirtree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_NAMES_MAX 1000000u

/*
 * Renaming a directory costs more than removing it, but each level that is not renamed needs a
 * descriptor. The files of an installation are hardly ever nested deeper.
 */
#define NESTED_MAX 16u

static bool
is_own_entry(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Open a directory to be read. The caller closes it with closedir(3). */
static DIR *
open_directory(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (directory == NULL && fd >= 0)
		close(fd);
	return directory;
}

/*
 * Move the directory `name` of `from` up into `top`, under a name that is not in use. Returns 0, or
 * -1 with errno.
 */
static int
move_up(int from, const char *name, int top)
{
	static unsigned number;
	char fresh[16];

	/* Moving it changes its "..", which needs the right to write. */
	if (fchmodat(from, name, 0700, 0) != 0)
		return -1;
	for (unsigned tries = 0; tries < NEW_NAMES_MAX; tries++) {
		snprintf(fresh, sizeof fresh, "%u", number++);
		if (renameat(from, name, top, fresh) == 0)
			return 0;
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
			return -1;
	}
	return -1;
}

/*
 * Remove the directory `name` of `parent_fd`, which is `depth` directories below `top`, and
 * everything in it. Directories below it are removed where they are; those that are too deep for
 * that are moved up into `top`.
 */
static int
remove_below(int top, int parent_fd, const char *name, unsigned depth)
{
	struct dirent *entry;
	DIR *directory;
	int result = 0;

	if (fchmodat(parent_fd, name, 0700, 0) != 0 || (directory = open_directory(parent_fd, name)) == NULL)
		return -1;
	while (result == 0 && (entry = readdir(directory)) != NULL) {
		if (is_own_entry(entry->d_name) || unlinkat(dirfd(directory), entry->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM)
			result = -1;
		else
			result = depth < NESTED_MAX ? remove_below(top, dirfd(directory), entry->d_name, depth + 1) :
			                              move_up(dirfd(directory), entry->d_name, top);
	}
	closedir(directory);
	return result != 0 ? -1 : unlinkat(parent_fd, name, AT_REMOVEDIR);
}

int
dirtree_empty(int parent_fd, const char *name)
{
	struct dirent *entry;
	struct stat st;
	DIR *top;
	int result = 0;
	bool more = true;

	/* fchmodat follows links. */
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	if (fchmodat(parent_fd, name, 0700, 0) != 0 || (top = open_directory(parent_fd, name)) == NULL)
		return -1;
	/*
	 * A directory that is moved up may come before the ones that were read, so the top is read
	 * until it is empty.
	 */
	while (result == 0 && more) {
		more = false;
		rewinddir(top);
		while (result == 0 && (entry = readdir(top)) != NULL) {
			if (is_own_entry(entry->d_name))
				continue;
			more = true;
			if (unlinkat(dirfd(top), entry->d_name, 0) != 0 && errno != ENOENT)
				result = errno == EISDIR || errno == EPERM ?
				    remove_below(dirfd(top), dirfd(top), entry->d_name, 0) :
				    -1;
		}
	}
	closedir(top);
	return result;
}

int
dirtree_remove(int parent_fd, const char *name)
{
	struct stat st;

	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -1;
	return dirtree_empty(parent_fd, name) != 0 ? -1 : unlinkat(parent_fd, name, AT_REMOVEDIR);
}

static void
measure_below(DIR *directory, unsigned depth, uint64_t most_entries, struct dirtree_size *size)
{
	struct dirent *entry;
	struct stat st;
	DIR *below;

	if (depth == DIRTREE_DEPTH_MAX)
		size->entries = most_entries;
	while (size->entries < most_entries && (entry = readdir(directory)) != NULL) {
		if (is_own_entry(entry->d_name) || fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		size->entries++;
		size->bytes += (uint64_t)st.st_blocks * 512u;
		if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > size->largest)
			size->largest = (uint64_t)st.st_size;
		if (!S_ISDIR(st.st_mode) || (below = open_directory(dirfd(directory), entry->d_name)) == NULL)
			continue;
		measure_below(below, depth + 1, most_entries, size);
		closedir(below);
	}
}

void
dirtree_measure(int parent_fd, const char *name, uint64_t most_entries, struct dirtree_size *size)
{
	DIR *directory = open_directory(parent_fd, name);

	if (directory == NULL)
		return;
	measure_below(directory, 0, most_entries, size);
	closedir(directory);
}
