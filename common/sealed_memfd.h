/*
 * sealed_memfd.h - memory with a content that nobody can change any more: memfd_create(2), sealed
 * by fcntl(2).
 *
 * A sealed descriptor can be handed to any number of processes. None of them can change what the
 * others read.
 */
#ifndef CELLBLOCK_SEALED_MEMFD_H
#define CELLBLOCK_SEALED_MEMFD_H

#include <sys/types.h>
#include <sys/uio.h>

enum sealed_memfd_use {
	SEALED_MEMFD_DATA,    /* can never be executed, where the kernel has that flag (Linux 6.3) */
	SEALED_MEMFD_PROGRAM, /* can be executed, even where vm.memfd_noexec is 1 */
};

/*
 * Make a memfd with the bytes of `iov`, and seal it. `name` shows in /proc only. Uses up `iov`.
 * Returns a close-on-exec descriptor at offset 0 that the caller owns, or -1 with errno.
 */
int sealed_memfd_make(const char *name, enum sealed_memfd_use use, struct iovec *iov, int iov_count);

/*
 * The two halves of sealed_memfd_make, for a caller that writes the content by itself. The first
 * returns an empty, close-on-exec memfd that the caller owns, or -1 with errno. The second forbids
 * every change of the content, and of the seals, and returns 0, or -1 with errno; the descriptor
 * stays the caller's.
 */
int sealed_memfd_begin(const char *name, enum sealed_memfd_use use);
int sealed_memfd_finish(int fd);

/*
 * Write all of `iov`, which is used up, to an unsealed memfd at offset `at`. The descriptor's own
 * offset does not change. Returns 0, or -1 with errno.
 */
int sealed_memfd_write(int fd, off_t at, struct iovec *iov, int iov_count);

#endif
