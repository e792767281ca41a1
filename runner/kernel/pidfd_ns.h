/*
 * namespaces.h - the namespaces of a process, by its pidfd: Linux 6.11 tells them. Before that only a /proc could, and behind the
 * walls there is none.
 */
#ifndef CELLBLOCK_NAMESPACES_H
#define CELLBLOCK_NAMESPACES_H

#include <stdbool.h>

/* As ioctl(2) of a pidfd numbers them. */
enum pidfd_ns_kind {
	NAMESPACE_IPC = 2,
	NAMESPACE_MOUNT = 3,
	NAMESPACE_NETWORK = 4,
	NAMESPACE_PID = 5,
	NAMESPACE_USER = 9,
	NAMESPACE_UTS = 10,
};

/* A descriptor of one. Needs the right to look into the process. Returns -1 with errno (ENOTTY: the kernel does not tell). */
int pidfd_ns_open(int pidfd, enum pidfd_ns_kind kind);

/* Does this kernel tell? */
bool pidfd_ns_supported(void);

#endif
