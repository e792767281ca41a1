/* secrets.c - see secrets.h. Runs in a guest, before it has seen anything of a run. */
#define _GNU_SOURCE
#include "guest/secrets.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#define RANDOM_BYTES 16                 /* of AT_RANDOM */
#define STACK_MAX ((uintptr_t)64 << 20) /* a larger distance is not that of the first thread's stack */

#ifdef __x86_64__
static uint64_t
canary(void)
{
	uint64_t value;

	__asm__ volatile("movq %%fs:0x28, %0" : "=r"(value));
	return value;
}

/*
 * Replace the canary, and its copies in all frames between here and the end of the stack. Their
 * functions compare with it when they return. A copy is 8 aligned bytes, of which 7 are random: no
 * other value is mistaken for one.
 */
static void __attribute__((noinline, no_stack_protector, no_sanitize_address)) replace_canary(uint64_t new, uintptr_t stack_end)
{
	uint64_t old = canary();
	volatile uint64_t *at = (volatile uint64_t *)((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)7);

	for (; (uintptr_t)at < stack_end; at++) {
		if (*at == old)
			*at = new;
	}
	__asm__ volatile("movq %0, %%fs:0x28" : : "r"(new) : "memory");
}
#endif

int
secrets_renew(void)
{
	char *bytes = (char *)getauxval(AT_RANDOM);
	unsigned char new[RANDOM_BYTES + sizeof(uint64_t)];

	if (bytes == NULL) {
		errno = ENOENT;
		return -1;
	}
	if (getrandom(new, sizeof new, 0) != (ssize_t)sizeof new)
		return -1;
	memcpy(bytes, new, RANDOM_BYTES);
#ifdef __x86_64__
	/* The bytes lie just above the frames of the first thread's stack. */
	if ((uintptr_t)bytes - (uintptr_t)__builtin_frame_address(0) < STACK_MAX) {
		uint64_t value;

		memcpy(&value, new + RANDOM_BYTES, sizeof value);
		/* As libc does: a byte of 0 ends the copy of a string that would read it. */
		replace_canary(value & ~UINT64_C(0xff), (uintptr_t)bytes);
	}
#endif
	explicit_bzero(new, sizeof new);
	return 0;
}
