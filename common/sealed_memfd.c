/*
 * sealed_memfd.c - see sealed_memfd.h. Runs in the worker, at the runner's start, in wardens and in
 * reapers.
 */
#define _GNU_SOURCE
#include "sealed_memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

int
sealed_memfd_begin(const char *name, enum sealed_memfd_use use)
{
	/* Hosts with vm.memfd_noexec=2 insist on a flag that older kernels reject. */
	static _Atomic bool has_flags = true;
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (has_flags) {
		fd = memfd_create(name, flags | (use == SEALED_MEMFD_PROGRAM ? MFD_EXEC : MFD_NOEXEC_SEAL));
		if (fd >= 0 || errno != EINVAL)
			return fd;
		has_flags = false;
	}
	return memfd_create(name, flags);
}

int
sealed_memfd_finish(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int
sealed_memfd_write(int fd, off_t at, struct iovec *iov, int iov_count)
{
	while (iov_count > 0) {
		ssize_t n = pwritev(fd, iov, iov_count < IOV_MAX ? iov_count : IOV_MAX, at);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		at += n;
		for (; iov_count > 0 && (size_t)n >= iov->iov_len; iov++, iov_count--)
			n -= (ssize_t)iov->iov_len;
		if (iov_count > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int
sealed_memfd_make(const char *name, enum sealed_memfd_use use, struct iovec *iov, int iov_count)
{
	int fd = sealed_memfd_begin(name, use), error;

	if (fd < 0 || (sealed_memfd_write(fd, 0, iov, iov_count) == 0 && sealed_memfd_finish(fd) == 0))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}
