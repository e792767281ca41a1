/* public_copy.c - see public_copy.h. Runs at the start and in wardens, with their rights. */
#define _GNU_SOURCE
#include "kernel/public_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_TO_OTHERS (S_IROTH | S_IXOTH)
#define DEPTH_MAX 16 /* one descriptor each */

static void
close_but_errno(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
}

/* Count one more entry. Returns 0, or -1 with errno. */
static int
count_entry(struct public_copy *left)
{
	if (left->entries == 0) {
		errno = EFBIG;
		return -1;
	}
	left->entries--;
	return 0;
}

/* Copy the open file `in` to a new file. Returns 0, or -1 with errno. */
static int
copy_open_file(int in, const struct stat *st, int to, const char *name, struct public_copy *left)
{
	int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (st->st_mode & S_IXOTH) != 0 ? 0755 : 0644);
	ssize_t n = -1;

	if (out < 0)
		return errno == EEXIST ? 0 : -1;
	do {
		/* One byte more than is allowed shows that there are more. */
		n = sendfile(out, in, NULL, left->bytes < SSIZE_MAX ? (size_t)left->bytes + 1 : SSIZE_MAX);
		if (n > 0 && (uint64_t)n > left->bytes) {
			errno = EFBIG;
			n = -1;
		} else if (n > 0) {
			left->bytes -= (uint64_t)n;
		}
	} while (n > 0);
	if (n != 0)
		close_but_errno(out);
	else if (close(out) != 0)
		return -1;
	return (int)n;
}

int
public_copy_link(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof target - 1);

	if (n < 0)
		return -1;
	target[n] = '\0';
	return symlinkat(target, to, name) == 0 || errno == EEXIST ? 0 : -1;
}

int
public_copy_directory(int to, const char *name)
{
	if (mkdirat(to, name, 0755) != 0 && errno != EEXIST)
		return -1;
	return openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int copy_entry(int from, int to, const char *name, unsigned depth, struct public_copy *left);

/* Copy the entries of the open directory `from`, and close it. */
static int
copy_entries(int from, int to, unsigned depth, struct public_copy *left)
{
	DIR *directory = fdopendir(from);
	struct dirent *entry;
	int result = 0;

	if (directory == NULL) {
		close_but_errno(from);
		return -1;
	}
	while (result == 0 && (entry = readdir(directory)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = copy_entry(dirfd(directory), to, entry->d_name, depth, left);
	closedir(directory);
	return result;
}

/* Copy one entry of a directory. Its mode is that of what was opened, not of what had the name. */
static int
copy_entry(int from, int to, const char *name, unsigned depth, struct public_copy *left)
{
	/* The name may be a FIFO's, whose open(2) would wait. */
	int fd = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), made, result = 0;
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return count_entry(left) != 0 ? -1 : public_copy_link(from, to, name);
	/* A socket, or a file that went away or that the caller may not read either. */
	if (fd < 0)
		return errno == ENXIO || errno == ENOENT || errno == EACCES || errno == EPERM ? 0 : -1;
	if (fstat(fd, &st) != 0) {
		close_but_errno(fd);
		return -1;
	}
	if (S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) != 0) {
		result = count_entry(left) != 0 ? -1 : copy_open_file(fd, &st, to, name, left);
	} else if (S_ISDIR(st.st_mode) && (st.st_mode & OPEN_TO_OTHERS) == OPEN_TO_OTHERS && depth < DEPTH_MAX) {
		made = count_entry(left) != 0 ? -1 : public_copy_directory(to, name);
		if (made < 0) {
			close_but_errno(fd);
			return -1;
		}
		result = copy_entries(fd, made, depth + 1, left);
		close_but_errno(made);
		return result;
	}
	close_but_errno(fd);
	return result;
}

/*
 * Open a directory on the way to a path. Returns a descriptor; or -1 with errno, EACCES if it is
 * not public.
 */
static int
open_public_directory(int from, const char *name)
{
	int fd = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || (st.st_mode & S_IXOTH) == 0)) {
		close(fd);
		errno = EACCES;
		return -1;
	}
	return fd;
}

int
public_copy(int from, int to, const char *path, struct public_copy *left)
{
	char part[NAME_MAX + 1];
	int at = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), into = -1, result = -1;

	if (at >= 0)
		into = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *slash; into >= 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		int next, next_into = -1;

		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		next = open_public_directory(at, part);
		if (next < 0) {
			/* There is no such public file. */
			result = errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1;
			close_but_errno(into);
			close_but_errno(at);
			return result;
		}
		next_into = public_copy_directory(into, part);
		close_but_errno(into);
		close_but_errno(at);
		at = next;
		into = next_into;
	}
	if (into >= 0)
		result = copy_entry(at, into, path, 0, left);
	close_but_errno(into);
	close_but_errno(at);
	return result;
}

int
public_copy_file(const char *path, int to, const char *name, struct public_copy *left)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), result = -1;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & S_IROTH) == 0)
		errno = EACCES;
	else
		result = count_entry(left) != 0 ? -1 : copy_open_file(fd, &st, to, name, left);
	close_but_errno(fd);
	return result;
}
