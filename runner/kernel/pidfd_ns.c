/*
 * pidfd_ns.c - see pidfd_ns.h. The requests are spelled out, since the kernel can be newer than the
 * headers of the build.
 */
#define _GNU_SOURCE
#include "kernel/pidfd_ns.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIDFD_GET_NAMESPACE(kind) _IO(0xff, (unsigned)(kind))

int
pidfd_ns_open(int pidfd, enum pidfd_ns_kind kind)
{
	return ioctl(pidfd, PIDFD_GET_NAMESPACE(kind), 0);
}

bool
pidfd_ns_supported(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int fd = pidfd < 0 ? -1 : pidfd_ns_open(pidfd, NAMESPACE_MOUNT);

	if (fd >= 0)
		close(fd);
	if (pidfd >= 0)
		close(pidfd);
	return fd >= 0;
}
