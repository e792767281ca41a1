/* landlock.h - Landlock: a process restricts itself and its children in files, TCP and signals. */
#ifndef CELLBLOCK_LANDLOCK_H
#define CELLBLOCK_LANDLOCK_H

#include <stddef.h>
#include <stdint.h>

/*
 * With `port` 0, allows access to the directory on which `fd` is open, and to everything below it.
 * With another port, it allows TCP connections to that port.
 */
struct landlock_rule {
	int fd;
	uint64_t allowed; /* LANDLOCK_READ, LANDLOCK_WRITE, LANDLOCK_MAKE */
	uint16_t port;
};

/* Kinds of access. Those that the running kernel does not know are ignored. */
#define LANDLOCK_READ UINT64_C(0x000d)  /* execute and read files, list directories */
#define LANDLOCK_WRITE UINT64_C(0x4002) /* write and truncate files */
#define LANDLOCK_ALL UINT64_C(0xffff)   /* all kinds */
#define LANDLOCK_MAKE UINT64_C(0x37b0)  /* make, remove, rename and link everything but devices */

enum landlock_flag {
	LANDLOCK_FREE_TCP = 1u << 0, /* do not restrict TCP */
	LANDLOCK_QUIET = 1u << 1,    /* keep denials out of the host's audit log, if the kernel can (ABI 7) */
};

/*
 * The ABI version of the kernel, from 1 on; or -1 with errno if it has no Landlock (ENOSYS,
 * EOPNOTSUPP).
 */
int landlock_abi(void);

#define LANDLOCK_IOCTL_ABI 5 /* the first ABI that restricts the ioctls of devices */

#define LANDLOCK_SCOPE_ABI 6 /* the first ABI that keeps abstract names of sockets to a domain */

/* The things that an ABI can restrict, in words; "nothing" for 0. */
const char *landlock_offers(int abi);

/*
 * Restrict the calling thread by everything that `abi` can restrict, permanently: all files but
 * those that the `count` rules allow, TCP, changes of mounts, and signals and abstract sockets to
 * processes outside this Landlock domain. `flags`: enum landlock_flag. no_new_privs must be set.
 * The rules' descriptors stay open. Returns 0, or -1 with errno.
 *
 * The system calls carry a zygote's mark; see mark.h.
 */
int landlock_enter(int abi, unsigned flags, const struct landlock_rule *rule, size_t count);

#endif
