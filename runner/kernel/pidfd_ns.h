/*
 * pidfd_ns.h - opens the namespaces of a process through its pidfd (Linux 6.11). Older kernels have
 * only /proc for that, and the runner's processes see none.
 */
#ifndef CELLBLOCK_PIDFD_NS_H
#define CELLBLOCK_PIDFD_NS_H

#include <stdbool.h>

/* The numbers of the ioctl(2) requests of a pidfd. */
enum pidfd_ns_kind {
	NAMESPACE_IPC = 2,
	NAMESPACE_MOUNT = 3,
	NAMESPACE_NETWORK = 4,
	NAMESPACE_PID = 5,
	NAMESPACE_USER = 9,
	NAMESPACE_UTS = 10,
};

/*
 * Open a namespace of the process. Needs the right to ptrace it. Returns a descriptor that the
 * caller owns, or -1 with errno (ENOTTY: the kernel has no such request).
 */
int pidfd_ns_open(int pidfd, enum pidfd_ns_kind kind);

/* Whether this kernel has these requests. */
bool pidfd_ns_supported(void);

#endif
