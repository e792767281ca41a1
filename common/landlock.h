/* landlock.h - Landlock, a wall that a process puts around itself and what it starts: files, TCP, signals. */
#ifndef CELLBLOCK_LANDLOCK_H
#define CELLBLOCK_LANDLOCK_H

#include <stddef.h>
#include <stdint.h>

/*
 * What may be done with a directory that `fd` is open on, and with everything below it; or, with a `port` that is not 0, that
 * TCP connections may be made to it.
 */
struct landlock_rule {
	int fd;
	uint64_t allowed; /* LANDLOCK_READ, LANDLOCK_WRITE, LANDLOCK_MAKE */
	uint16_t port;
};

/* Kinds of access; those that the kernel does not know yet are left out. */
#define LANDLOCK_READ UINT64_C(0x000d)  /* execute and read files, list directories */
#define LANDLOCK_WRITE UINT64_C(0x4002) /* write and truncate files */
#define LANDLOCK_ALL UINT64_C(0xffff)   /* whatever there is */
#define LANDLOCK_MAKE UINT64_C(0x37b0)  /* make, remove, rename and link everything but devices */

enum landlock_flag {
	LANDLOCK_FREE_TCP = 1u << 0, /* leave TCP alone */
	LANDLOCK_QUIET = 1u << 1,    /* what is refused is not put into the host's audit log, where that can be chosen */
};

/* The ABI that the kernel offers, from 1 on; -1 with errno where there is none (ENOSYS, EOPNOTSUPP). */
int landlock_abi(void);

#define LANDLOCK_IOCTL_ABI 5 /* from which on the ioctl of devices can be taken */

/* What an ABI can take, in words; "nothing" for 0. */
const char *landlock_offers(int abi);

/*
 * Take everything that this ABI can take from the calling thread, for good: all files but what the `count` rules allow,
 * TCP, and signals and abstract sockets that lead to whoever is not behind the same wall; and all changes of mounts.
 * `flags`: enum landlock_flag. no_new_privs must be set. The descriptors of the rules stay open. Returns 0, or -1 with errno.
 *
 * The system calls bear a zygote's mark; see mark.h.
 */
int landlock_enter(int abi, unsigned flags, const struct landlock_rule *rule, size_t count);

#endif
