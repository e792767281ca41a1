/*
 * mark.h - how a zygote's own system calls are told from those of a program.
 *
 * A zygote and its guests share one filter, and until a program starts a guest has to make calls that no program may. They
 * carry this in their last argument, which none of them uses. So to the filter they are other calls than a program's,
 * which are refused as any refused call is, by name. It is no secret: before a program starts, the marked calls are
 * taken away as well.
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
