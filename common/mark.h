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

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#define ZYGOTE_MARK 0x63656c6c626c6f63ul
#define ZYGOTE_MARK_ARG 5

#define MARK_ADDRESS(of) ((long)(uintptr_t)(of)) /* a pointer as an argument of mark_syscall */

/*
 * syscall(2) with the mark. The mark must be nowhere afterwards: syscall(2) with fewer arguments
 * takes its last one from the stack or from a register, whatever is there. So the program's own
 * call would be marked by a leftover, and end it. Therefore the mark is only in the register of the
 * argument, and only during the call.
 */
static inline long
mark_syscall(long call, long a, long b, long c, long d, long e)
{
	long result;

#if defined(__clang_analyzer__)
	/* The analyzer does not see that an instruction writes to memory. */
	return syscall(call, a, b, c, d, e, ZYGOTE_MARK);
#elif defined(__x86_64__)
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;

	__asm__ volatile("movabsq %[mark], %%r9\n\tsyscall\n\txorl %%r9d, %%r9d"
	                 : "=a"(result)
	                 : "0"(call), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), [mark] "i"(ZYGOTE_MARK)
	                 : "rcx", "r9", "r11", "memory", "cc");
#elif defined(__aarch64__)
	register long number __asm__("x8") = call;
	register long first __asm__("x0") = a;
	register long second __asm__("x1") = b;
	register long third __asm__("x2") = c;
	register long fourth __asm__("x3") = d;
	register long fifth __asm__("x4") = e;

	__asm__ volatile("ldr x5, =%c[mark]\n\tsvc #0\n\tmov x5, xzr"
	                 : "+r"(first)
	                 : "r"(number), "r"(second), "r"(third), "r"(fourth), "r"(fifth), [mark] "i"(ZYGOTE_MARK)
	                 : "x5", "memory", "cc");
	result = first;
#else
	return syscall(call, a, b, c, d, e, ZYGOTE_MARK);
#endif
	if (result >= 0 || result < -4095)
		return result;
	errno = (int)-result;
	return -1;
}

#endif
