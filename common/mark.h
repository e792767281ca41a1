/*
 * mark.h - distinguishes a zygote's own system calls from those of a program.
 *
 * A zygote and its guests share one seccomp filter, and before its program starts a guest makes
 * calls that no program may make. These carry a mark in their last argument, which the kernel
 * ignores for them. The filter allows them only with the mark, so that the same call by a program
 * is denied and reported by name like any other. The mark is no secret: before a program starts,
 * the guest loads a second filter that ends it for a marked call.
 */
#ifndef CELLBLOCK_MARK_H
#define CELLBLOCK_MARK_H

#include <stdint.h>
#include <unistd.h>

#define ZYGOTE_MARK 0x63656c6c626c6f63ul
#define ZYGOTE_MARK_ARG 5

#define MARK_ADDRESS(of) ((long)(uintptr_t)(of)) /* a pointer as an argument of mark_syscall */

/* syscall(2) with the mark. */
static inline long
mark_syscall(long call, long a, long b, long c, long d, long e)
{
	return syscall(call, a, b, c, d, e, ZYGOTE_MARK);
}

#endif
