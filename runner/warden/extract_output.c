/* extract_output.c - see extract_output.h. Runs in wardens, and at level chroot in reapers. */
#define _GNU_SOURCE
#include "warden/extract_output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdpass.h"
#include "sealed_memfd.h"

/*
 * Copy all of a regular file of at most `most` bytes into a sealed memfd. Returns it, or -1 with
 * errno.
 */
static int
copy_sealed(int from, uint64_t most)
{
	struct stat st;
	off_t at = 0;
	int fd;

	if (fstat(from, &st) != 0)
		return -1;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > most) {
		errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		return -1;
	}
	fd = sealed_memfd_begin("program", SEALED_MEMFD_PROGRAM);
	while (fd >= 0 && at < st.st_size) {
		if (sendfile(fd, from, &at, (size_t)(st.st_size - at)) <= 0) {
			fdpass_close(&fd, 1);
			return -1;
		}
	}
	if (fd >= 0 && sealed_memfd_finish(fd) != 0)
		fdpass_close(&fd, 1);
	return fd;
}

int
extract_output(int box_fd, const char *name, uint64_t most)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	int from = (int)syscall(SYS_openat2, box_fd, name, &how, sizeof how);
	int fd = from < 0 ? -1 : copy_sealed(from, most);
	int saved = errno;

	fdpass_close(&from, 1);
	errno = saved;
	return fd;
}
