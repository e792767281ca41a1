/* netns.c - see netns.h. Runs in wardens, and in the broker at its start. */
#define _GNU_SOURCE
#include "kernel/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "kernel/fork_into.h"

#define BACKLOG 128 /* connections of a program that the relay has not accepted yet */

int
netns_raise_loopback(void)
{
	struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &loopback);
	int error = errno;

	fdpass_close(&fd, 1);
	errno = error;
	return result;
}

/* Have a new socket listen. Returns it, or -1 with errno; then it is closed. */
static int
listen_at(int fd, const struct sockaddr *address, socklen_t size, int backlog)
{
	int error;

	if (fd < 0 || (bind(fd, address, size) == 0 && listen(fd, backlog) == 0))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
netns_listen(unsigned short port)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };

	return listen_at(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), (const struct sockaddr *)&address,
	    sizeof address, BACKLOG);
}

int
netns_of_socket(int fd)
{
	return ioctl(fd, SIOCGSKNS);
}

/* The network namespace of the caller. It comes from a socket: /proc may be out of reach. */
static int
open_own(const void *unused)
{
	int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	return socket_fd < 0 ? -1 : netns_of_socket(socket_fd);
}

static int
listen_abstract(const void *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);

	if (length + 1 > sizeof address.sun_path)
		length = sizeof address.sun_path - 1;
	memcpy(address.sun_path + 1, name, length);
	return listen_at(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (const struct sockaddr *)&address,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length), 1);
}

/*
 * Have a child call `open_fd` in a network namespace, or in a new one if `namespace_fd` is -1, and
 * send the descriptor. A process that leaves the host's network namespace may have no way back, so
 * the caller stays.
 */
static int
open_there(int namespace_fd, int (*open_fd)(const void *argument), const void *argument)
{
	int pair[2], fd = -1, error = EPERM;
	size_t count = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	pid = fork_into(namespace_fd < 0 ? CLONE_NEWNET : 0);
	if (pid == 0) {
		fd = namespace_fd >= 0 && setns(namespace_fd, CLONE_NEWNET) != 0 ? -1 : open_fd(argument);
		error = errno;
		_exit(fdpass_send(pair[1], &error, sizeof error, &fd, fd < 0 ? 0 : 1) != 0);
	}
	if (pid < 0)
		error = errno;
	close(pair[1]);
	if (pid > 0) {
		if (fdpass_recv(pair[0], &error, sizeof error, &fd, 1, &count, NULL) != (ssize_t)sizeof error || count != 1)
			fd = -1;
		waitpid(pid, NULL, 0);
	}
	close(pair[0]);
	errno = error;
	return fd;
}

int
netns_has_unix_sockets(void)
{
	const struct {
		struct nlmsghdr head;
		struct unix_diag_req body;
	} ask = {
		.head = { .nlmsg_len = sizeof ask, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .sdiag_family = AF_UNIX, .udiag_states = UINT32_MAX },
	};
	union {
		struct nlmsghdr head;
		char room[512]; /* the first message is enough */
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t n = fd < 0 || send(fd, &ask, sizeof ask, 0) != (ssize_t)sizeof ask ? -1 : recv(fd, &answer, sizeof answer, 0);
	int error = errno;

	fdpass_close(&fd, 1);
	errno = error;
	if (n < (ssize_t)sizeof answer.head)
		return -1;
	if (answer.head.nlmsg_type == SOCK_DIAG_BY_FAMILY)
		return 1;
	errno = EOPNOTSUPP;
	return answer.head.nlmsg_type == NLMSG_DONE ? 0 : -1;
}

int
netns_make_empty(void)
{
	return open_there(-1, open_own, NULL);
}

int
netns_listen_abstract(int namespace_fd, const char *name)
{
	return namespace_fd < 0 ? listen_abstract(name) : open_there(namespace_fd, listen_abstract, name);
}
