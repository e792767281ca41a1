/*
 * secrets.h - gives a guest random numbers of its own, where a process gets them only once.
 *
 * The kernel hands a new program 16 random bytes (AT_RANDOM), and libc makes the canary of the
 * stack and the guard of its pointers from these. A guest that is forked has its zygote's.
 */
#ifndef CELLBLOCK_GUEST_SECRETS_H
#define CELLBLOCK_GUEST_SECRETS_H

/*
 * Replace AT_RANDOM's bytes and, on x86-64, the canary of this thread's stack. The stack must be
 * the first thread's; else the canary stays. The guard of pointers stays: libc and interpreters
 * keep pointers that are mangled with it, and nobody knows where. Returns 0, or -1 with errno.
 */
int secrets_renew(void);

#endif
