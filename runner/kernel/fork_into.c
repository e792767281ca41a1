/* fork_into.c - see fork_into.h. */
#define _GNU_SOURCE
#include "kernel/fork_into.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t
fork_into(uint64_t namespaces)
{
	struct clone_args args = { .flags = namespaces, .exit_signal = SIGCHLD };

	/*
	 * libc has no fork with flags. Everything else that its fork(3) does is about other
	 * threads, and there are none.
	 */
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}
