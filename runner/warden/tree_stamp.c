/* tree_stamp.c - see tree_stamp.h. Runs in a warden, before it drops its capabilities. */
#define _GNU_SOURCE
#include "warden/tree_stamp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define DIGEST_START UINT64_C(0xcbf29ce484222325) /* FNV-1a */
#define DIGEST_FACTOR UINT64_C(0x100000001b3)
#define DEPTH_MAX 32

static uint64_t
mix(uint64_t digest, const void *data, size_t size)
{
	const unsigned char *byte = data;

	for (size_t i = 0; i < size; i++)
		digest = (digest ^ byte[i]) * DIGEST_FACTOR;
	return digest;
}

/* Add what a path is; st: NULL if there is nothing. */
static uint64_t
mix_path(uint64_t digest, enum tree_stamp_kind kind, const char *path, const struct stat *st)
{
	int64_t values[4] = { 0 };

	if (st != NULL)
		values[2] = (int64_t)st->st_mtim.tv_sec;
	if (st != NULL && kind == STAMP_OF_HOST) {
		values[0] = (int64_t)st->st_dev;
		values[1] = (int64_t)st->st_ino;
		values[3] = (int64_t)st->st_mtim.tv_nsec;
	}
	return mix(mix(digest, path, strlen(path) + 1), values, sizeof values);
}

int
tree_stamp_begin(struct tree_stamp *stamp, int dir_fd, const char *name, enum tree_stamp_kind kind)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	*stamp = (struct tree_stamp){ .kind = kind, .digest = DIGEST_START };
	if (fd < 0)
		return -1;
	stamp->paths = fdopen(fd, "w");
	if (stamp->paths != NULL)
		return 0;
	close(fd);
	return -1;
}

void
tree_stamp_add(struct tree_stamp *stamp, const char *path, const struct stat *st)
{
	if (stamp->paths == NULL)
		return;
	fwrite(path, strlen(path) + 1, 1, stamp->paths);
	stamp->digest = mix_path(stamp->digest, stamp->kind, path, st);
}

static int
add_copied(struct tree_stamp *stamp, int copy_fd, const char *path, unsigned depth)
{
	int fd = openat(copy_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), below, result = 0;
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	char name[PATH_MAX];
	struct dirent *entry;
	struct stat st;

	if (directory == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	tree_stamp_add(stamp, path, stat(path, &st) == 0 ? &st : NULL);
	while (result == 0 && depth < DEPTH_MAX && (entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.' || snprintf(name, sizeof name, "%s/%s", path, entry->d_name) >= (int)sizeof name)
			continue;
		below = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0)
			continue; /* a file, or a link */
		result = add_copied(stamp, below, name, depth + 1);
		close(below);
	}
	closedir(directory);
	return result;
}

int
tree_stamp_add_copied(struct tree_stamp *stamp, int copy_fd, const char *path)
{
	return add_copied(stamp, copy_fd, path, 0);
}

int
tree_stamp_finish(struct tree_stamp *stamp)
{
	FILE *paths = stamp->paths;
	bool is_good;

	stamp->paths = NULL;
	/* No path is empty, so an empty one stands before the digest. */
	is_good = fputc('\0', paths) != EOF && fwrite(&stamp->digest, sizeof stamp->digest, 1, paths) == 1 && ferror(paths) == 0;
	return fclose(paths) == 0 && is_good ? 0 : -1;
}

/* Read the next path. Returns its length; 0 at the end of the paths; or -1. */
static int
read_path(FILE *file, char path[PATH_MAX])
{
	int c, length = 0;

	while ((c = fgetc(file)) != '\0') {
		if (c == EOF || length == PATH_MAX - 1)
			return -1;
		path[length++] = (char)c;
	}
	path[length] = '\0';
	return length;
}

bool
tree_stamp_holds(int dir_fd, const char *name, enum tree_stamp_kind kind)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), length;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	uint64_t digest = DIGEST_START, expected;
	char path[PATH_MAX] = "";
	struct stat st;
	bool holds;

	if (file == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while ((length = read_path(file, path)) > 0)
		digest = mix_path(digest, kind, path, stat(path, &st) == 0 ? &st : NULL);
	holds = length == 0 && fread(&expected, sizeof expected, 1, file) == 1 && expected == digest;
	fclose(file);
	return holds;
}
