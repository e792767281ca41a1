/* uid_lock.c - see uid_lock.h. */
#define _GNU_SOURCE
#include "start/uid_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 20

int
uid_lock_take(const char *path, uint32_t first, uint32_t count, unsigned wait_ms, char *error, size_t size)
{
	/*
	 * A lock of the open file description: it is not lost when any other descriptor of the file
	 * is closed.
	 */
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)first, .l_len = (off_t)count };
	const struct timespec wait = { .tv_nsec = POLL_MS * 1000000 };
	unsigned waited_ms = 0;
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		snprintf(error, size, "%s: %s", path, fd < 0 ? strerror(errno) : "not a file");
		if (fd >= 0)
			close(fd);
		return -2;
	}
	for (; fcntl(fd, F_OFD_SETLK, &range) != 0; waited_ms += POLL_MS) {
		if (errno != EAGAIN && errno != EACCES) {
			snprintf(error, size, "lock %s: %s", path, strerror(errno));
			close(fd);
			return -2;
		}
		if (waited_ms >= wait_ms) {
			snprintf(error, size, "another runner on this host has some of the uids %u to %u", first,
			    first + count - 1);
			close(fd);
			return -1;
		}
		nanosleep(&wait, NULL);
	}
	return fd;
}
