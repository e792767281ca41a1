/* behind_filters.c - see behind_filters.h. */
#define _GNU_SOURCE
#include "behind_filters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "mark.h"
#include "missing.h"
#include "policy.h"

struct policy *
behind_filters_load(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char shipped[512], error[512];
	struct policy *policy;

	snprintf(shipped, sizeof shipped, "%s/etc/seccomp", srcdir != NULL ? srcdir : ".");
	policy = policy_load(shipped, name, POLICY_UNIX_ALL, error, sizeof error);
	if (policy == NULL)
		fail_msg("refused: %s", error);
	return policy;
}

/* Not _exit: with AddressSanitizer it first makes a call of its own, which the filters may deny. */
void
behind_filters_end(int status)
{
	/* All arguments: a mark must not be left of an earlier call. */
	syscall(SYS_exit_group, status, 0L, 0L, 0L, 0L, 0L);
}

/*
 * Load a filter, in a child, which exits on failure. Returns a listener, if `flags` asks for one.
 */
int
behind_filters_enter(const struct bpf *bpf, unsigned flags)
{
	struct sock_fprog program = { .len = (unsigned short)bpf->count, .filter = bpf->code };
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (long)flags, &program, 0L, 0L, ZYGOTE_MARK);

	if (result < 0)
		behind_filters_end(STATUS_NO_FILTER);
	return (int)result;
}

int
behind_filters_wait(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? STATUS_KILLED : STATUS_NO_FILTER;
	return WEXITSTATUS(status);
}

/* Load the filters as zygote and guest do, and pass the listener on. */
static void
wall_in(const struct policy *policy, unsigned who, int sock)
{
	bool has_listener = policy->last.count > 0;
	int listener_fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		behind_filters_end(STATUS_NO_FILTER);
	listener_fd = behind_filters_enter(&policy->base[who % ZYGOTE], has_listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
	if (has_listener) {
		if (fdpass_send(sock, "", 1, &listener_fd, 1) != 0)
			behind_filters_end(STATUS_NO_FILTER);
		close(listener_fd);
		if (who != ZYGOTE)
			behind_filters_enter(&policy->last, 0);
	}
	close(sock);
}

/*
 * Deny all notified calls with errno `error`, until `pid` has ended and no notification is left.
 * Returns the last denied call, or -1. (The listener alone is not enough: before Linux 6.11 it
 * reports an end only after the process was waited for.)
 */
int
behind_filters_refuse_all(int listener_fd, pid_t pid, int error)
{
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd waiting[] = { { .fd = listener_fd, .events = POLLIN }, { .fd = pid_fd, .events = POLLIN } };
	int refused = -1;

	assert_true(pid_fd >= 0);
	while (poll(waiting, 2, -1) > 0 && (waiting[0].revents & POLLIN) != 0) {
		struct seccomp_notif request = { 0 };
		struct seccomp_notif_resp answer = { .error = -error };

		if (ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0)
			continue;
		refused = request.data.nr;
		answer.id = request.id;
		ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
	close(pid_fd);
	return refused;
}

/*
 * Run `child` behind the filters. Returns its exit status, or STATUS_KILLED. *refused is set to the
 * last call that was notified, or -1.
 */
int
behind_filters_run(const struct policy *policy, unsigned who, void (*child)(const void *), const void *arg, int *refused)
{
	int pair[2], listener_fd = -1;
	size_t count = 0;
	pid_t pid;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(pair[0]);
		wall_in(policy, who, pair[1]);
		child(arg);
		behind_filters_end(0);
	}
	close(pair[1]);
	*refused = -1;
	if (fdpass_recv(pair[0], &byte, 1, &listener_fd, 1, &count, NULL) == 1 && count == 1) {
		*refused = behind_filters_refuse_all(listener_fd, pid, SENTINEL);
		close(listener_fd);
	}
	close(pair[0]);
	return behind_filters_wait(pid);
}
