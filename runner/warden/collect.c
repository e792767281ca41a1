/* collect.c - see collect.h. Runs in collectors. */
#define _GNU_SOURCE
#include "warden/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "collection.h"
#include "fdpass.h"
#include "sealed_memfd.h"
#include "warden/collect_pattern.h"

struct collection {
	const char *pattern[COLLECT_PATTERNS_MOST];
	size_t patterns;
	int fd;          /* the result */
	off_t at;        /* where it ends */
	uint64_t left;   /* bytes that may still be collected */
	uint32_t looked; /* names */
	struct timespec began;
	struct collect_result result;
	char path[COLLECT_PATTERN_MOST + 1];
};

/* ---- the request ------------------------------------------------------------------------------------------------- */

/* Find the patterns in the request's memory, which ends in a NUL. Returns 0, or -1. */
static int
take_patterns(struct collection *c, const char *bytes, size_t size)
{
	struct collect_request head;

	if (size < sizeof head)
		return -1;
	memcpy(&head, bytes, sizeof head);
	if (head.magic != COLLECT_MAGIC || head.patterns == 0 || head.patterns > COLLECT_PATTERNS_MOST ||
	    head.bytes != size - sizeof head || bytes[size - 1] != '\0')
		return -1;
	for (const char *at = bytes + sizeof head; at < bytes + size; at += strlen(at) + 1) {
		if (c->patterns == head.patterns || strlen(at) > COLLECT_PATTERN_MOST)
			return -1;
		c->pattern[c->patterns++] = at;
	}
	if (head.most > 0 && head.most < c->left)
		c->left = head.most;
	return c->patterns == head.patterns ? 0 : -1;
}

/* Map the request. Returns 0, or -1 with errno. */
static int
read_request(struct collection *c, int fd)
{
	struct stat st;
	char *bytes;

	if (fstat(fd, &st) != 0)
		return -1;
	errno = EPROTO;
	if (st.st_size == 0 ||
	    st.st_size > COLLECT_PATTERNS_MOST * (COLLECT_PATTERN_MOST + 1) + (off_t)sizeof(struct collect_request))
		return -1;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return -1;
	errno = EPROTO;
	return take_patterns(c, bytes, (size_t)st.st_size);
}

/* Whether c->path has this relation to a pattern. */
static bool
is_wanted(const struct collection *c, bool (*relation)(const char *pattern, const char *path))
{
	for (size_t i = 0; i < c->patterns; i++) {
		if (relation(c->pattern[i], c->path))
			return true;
	}
	return false;
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

static int
write_at(const struct collection *c, const void *bytes, size_t size, off_t at)
{
	ssize_t n = pwrite(c->fd, bytes, size, at);

	if (n == (ssize_t)size)
		return 0;
	errno = n < 0 ? errno : EIO;
	return -1;
}

/*
 * Copy at most `most` bytes of a file to the end of the result. Returns how many there were, or -1
 * with errno.
 */
static int64_t
copy(struct collection *c, int from, uint64_t most)
{
	uint64_t copied = 0;

	if (lseek(c->fd, c->at, SEEK_SET) < 0)
		return -1;
	while (copied < most) {
		ssize_t n = sendfile(c->fd, from, NULL, most - copied);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		copied += (uint64_t)n;
	}
	return (int64_t)copied;
}

/* Report c->path. `from`: a file to copy; -1: none. Returns 0, or -1 with errno. */
static int
report(struct collection *c, enum collect_kind kind, uint64_t size, int from)
{
	struct collect_file head = { .kind = kind, .path_bytes = (uint32_t)strlen(c->path), .size = size };
	off_t begin = c->at;

	if (c->result.files == COLLECT_FILES_MOST) {
		c->result.end = COLLECT_END_FILES;
		return 0;
	}
	c->at += (off_t)sizeof head;
	if (write_at(c, c->path, head.path_bytes, c->at) != 0)
		return -1;
	c->at += head.path_bytes;
	if (from >= 0) {
		int64_t copied = copy(c, from, size < c->left ? size : c->left);

		if (copied < 0)
			return -1;
		head.content_bytes = (uint64_t)copied;
		c->at += copied;
		c->left -= head.content_bytes;
	}
	c->result.files++;
	return write_at(c, &head, sizeof head, begin);
}

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

/* Open a name of a directory, and nothing that is elsewhere. */
static int
open_below(int dir, const char *name, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
}

static int
take_file(struct collection *c, int dir, const char *name)
{
	int fd = open_below(dir, name, 0), result;
	struct stat st;

	if (fd < 0)
		return report(c, COLLECT_UNREADABLE, 0, -1);
	result = fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ? -1 : report(c, COLLECT_FILE, (uint64_t)st.st_size, fd);
	close(fd);
	return result;
}

static int take_directory(struct collection *c, int dir, size_t length, unsigned depth);

static int
enter_directory(struct collection *c, int dir, const char *name, size_t length, unsigned depth)
{
	int fd;

	if (!is_wanted(c, collect_pattern_leads_below))
		return 0;
	if (depth == COLLECT_DEPTH_MOST)
		return report(c, COLLECT_DEEP, 0, -1);
	fd = open_below(dir, name, O_DIRECTORY);
	if (fd < 0)
		return report(c, COLLECT_UNREADABLE, 0, -1);
	return take_directory(c, fd, length, depth + 1);
}

static enum collect_kind
kind_of(mode_t mode)
{
	return S_ISLNK(mode) ? COLLECT_SYMLINK : S_ISFIFO(mode) ? COLLECT_FIFO : S_ISSOCK(mode) ? COLLECT_SOCKET : COLLECT_DEVICE;
}

/* Take what c->path, of `length` bytes, names: `name` in `dir`. */
static int
take_name(struct collection *c, int dir, const char *name, size_t length, unsigned depth)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return report(c, COLLECT_UNREADABLE, 0, -1);
	if (S_ISDIR(st.st_mode))
		return enter_directory(c, dir, name, length, depth);
	/* A link may stand where a directory is asked for. */
	if (!is_wanted(c, collect_pattern_matches) && !(S_ISLNK(st.st_mode) && is_wanted(c, collect_pattern_names)))
		return 0;
	return S_ISREG(st.st_mode) ? take_file(c, dir, name) : report(c, kind_of(st.st_mode), 0, -1);
}

/* Whether the collection has come to one of its bounds. */
static bool
is_over(struct collection *c)
{
	struct timespec now;

	if (c->result.end != COLLECT_ALL)
		return true;
	if (++c->looked > COLLECT_LOOKED_MOST)
		c->result.end = COLLECT_END_LOOKED;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((now.tv_sec - c->began.tv_sec) * 1000 + (now.tv_nsec - c->began.tv_nsec) / 1000000 >= COLLECT_MS)
		c->result.end = COLLECT_END_TIME;
	return c->result.end != COLLECT_ALL;
}

/*
 * Take all of a directory, which c->path names up to `length`. Closes `fd`. Calls itself, at most
 * COLLECT_DEPTH_MOST times.
 */
static int
take_directory(struct collection *c, int fd, size_t length, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	bool has_long = false;
	int result = 0;

	if (dir == NULL) {
		close(fd);
		return -1;
	}
	while (result == 0 && !is_over(c) && (errno = 0, entry = readdir(dir)) != NULL) {
		size_t slash = length > 0, name = strlen(entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (length + slash + name > COLLECT_PATTERN_MOST) {
			/* The directory stands for all of them. */
			result = has_long ? 0 : report(c, COLLECT_DEEP, 0, -1);
			has_long = true;
			continue;
		}
		if (slash != 0)
			c->path[length] = '/';
		memcpy(c->path + length + slash, entry->d_name, name + 1);
		result = take_name(c, dirfd(dir), entry->d_name, length + slash + name, depth);
		c->path[length] = '\0';
	}
	closedir(dir);
	return result;
}

int
collect_files(int box_fd, int request_fd, uint64_t most_bytes)
{
	struct collection c = { .fd = -1, .left = most_bytes, .at = sizeof c.result, .result.magic = COLLECT_MAGIC };
	int top, error;

	clock_gettime(CLOCK_MONOTONIC, &c.began);
	if (read_request(&c, request_fd) != 0)
		return -1;
	c.fd = sealed_memfd_begin("files", SEALED_MEMFD_DATA);
	top = c.fd < 0 ? -1 : open_below(box_fd, ".", O_DIRECTORY);
	/* A program may close its own working directory. Then there is nothing to see. */
	if (c.fd >= 0 && top < 0 && (errno == EACCES || errno == EPERM)) {
		strcpy(c.path, ".");
		error = report(&c, COLLECT_UNREADABLE, 0, -1);
	} else {
		error = top < 0 ? -1 : take_directory(&c, top, 0, 0);
	}
	if (error == 0 && write_at(&c, &c.result, sizeof c.result, 0) == 0 && sealed_memfd_finish(c.fd) == 0)
		return c.fd;
	error = errno;
	fdpass_close(&c.fd, 1);
	errno = error;
	return -1;
}
