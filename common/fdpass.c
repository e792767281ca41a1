/*
 * fdpass.c - see fdpass.h. Used by the worker, the runner and, inside the interpreters, by the
 * zygotes.
 */
#define _GNU_SOURCE
#include "fdpass.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mark.h"

#define CROWDED_MS 10000  /* most of waiting until a message may have descriptors again, ... */
#define CROWDED_STEP_MS 5 /* ... and the pause between two attempts */

int
fdpass_send(int sock, const void *data, size_t size, const int *fds, size_t fd_count)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd_count > FDPASS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (fd_count > 0) {
		struct cmsghdr *head;

		memset(&control, 0, sizeof control);
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
	}
	do
		sent = mark_syscall(SYS_sendmsg, sock, MARK_ADDRESS(&msg), MSG_NOSIGNAL, 0, 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

int
fdpass_send_patiently(int sock, const void *data, size_t size, const int *fds, size_t fd_count)
{
	for (int waited_ms = 0; fdpass_send(sock, data, size, fds, fd_count) != 0; waited_ms += CROWDED_STEP_MS) {
		if (errno != ETOOMANYREFS || waited_ms >= CROWDED_MS)
			return -1;
		poll(NULL, 0, CROWDED_STEP_MS);
	}
	return 0;
}

ssize_t
fdpass_recv(int sock, void *data, size_t size, int *fds, size_t fd_max, size_t *fd_count, pid_t *peer_pid)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * FDPASS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof control.space };
	/*
	 * More than FDPASS_MAX can arrive: descriptors also fill the space of credentials that are
	 * not sent.
	 */
	int got[sizeof control.space / sizeof(int)];
	size_t got_count = 0;
	ssize_t n;

	*fd_count = 0;
	if (peer_pid != NULL)
		*peer_pid = 0;
	do
		n = mark_syscall(SYS_recvmsg, sock, MARK_ADDRESS(&msg), MSG_CMSG_CLOEXEC, 0, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

			memcpy(got + got_count, CMSG_DATA(c), count * sizeof(int));
			got_count += count;
		} else if (c->cmsg_type == SCM_CREDENTIALS && peer_pid != NULL) {
			struct ucred cred;

			memcpy(&cred, CMSG_DATA(c), sizeof cred);
			*peer_pid = cred.pid;
		}
	}
	/*
	 * The kernel installs the descriptors that fit and drops the rest: a truncated message is
	 * never used. Nor is an empty message with descriptors: callers take it for the end of the
	 * connection, and would not close them.
	 */
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || got_count > fd_max || (n == 0 && got_count > 0)) {
		/*
		 * Fewer than are allowed, and cut: there was no number free for the rest, and the
		 * sender is not to blame.
		 */
		int error = (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == MSG_CTRUNC && got_count < fd_max ? EMFILE : EMSGSIZE;

		fdpass_close(got, got_count);
		errno = error;
		return -1;
	}
	if (got_count > 0) /* `fds` may be NULL if none is expected */
		memcpy(fds, got, got_count * sizeof(int));
	*fd_count = got_count;
	return n;
}

void
fdpass_close(int *fds, size_t fd_count)
{
	for (size_t i = 0; i < fd_count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}
