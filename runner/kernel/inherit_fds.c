/* inherit_fds.c - see inherit_fds.h. Runs in forked children, before they do anything else. */
#define _GNU_SOURCE
#include "kernel/inherit_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

int
inherit_fds_place(const int *from, size_t count, int first, bool is_close_on_exec)
{
	int high[INHERIT_FDS_MAX], error;
	size_t made = 0;

	if (count > INHERIT_FDS_MAX) {
		errno = EINVAL;
		return -1;
	}
	/*
	 * Move all of them out of the way first: one may have a number where another is to be
	 * placed.
	 */
	for (; made < count; made++) {
		high[made] = fcntl(from[made], F_DUPFD_CLOEXEC, first + (int)count);
		if (high[made] < 0)
			goto failed;
	}
	for (size_t i = 0; i < count; i++) {
		if (dup3(high[i], first + (int)i, is_close_on_exec ? O_CLOEXEC : 0) < 0)
			goto failed;
	}
	for (size_t i = 0; i < count; i++)
		close(high[i]);
	return 0;
failed:
	error = errno;
	for (size_t i = 0; i < made; i++)
		close(high[i]);
	errno = error;
	return -1;
}

int
inherit_fds_only(const int *from, size_t count, bool is_close_on_exec)
{
	if (inherit_fds_place(from, count, INHERIT_FDS_FIRST, is_close_on_exec) != 0)
		return -1;
	return (int)syscall(SYS_close_range, INHERIT_FDS_FIRST + (unsigned)count, ~0u, 0u);
}
