/* netns.c - see netns.h. Runs in wardens, and in the broker at its start. */
#define _GNU_SOURCE
#include "kernel/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

int
netns_listen(unsigned short port)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0 || (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, BACKLOG) == 0))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
netns_make_empty(int proc_fd)
{
	int pair[2], fd = -1;
	size_t count = 0;
	char byte;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	/*
	 * A child makes it: a process that leaves the host's network namespace may have no way
	 * back.
	 */
	pid = fork_into(CLONE_NEWNET);
	if (pid == 0) {
		fd = openat(proc_fd, "self/ns/net", O_RDONLY | O_CLOEXEC);
		_exit(fd < 0 || fdpass_send(pair[1], "", 1, &fd, 1) != 0);
	}
	close(pair[1]);
	if (pid > 0) {
		if (fdpass_recv(pair[0], &byte, sizeof byte, &fd, 1, &count, NULL) != 1 || count != 1)
			errno = EPERM;
		waitpid(pid, NULL, 0);
	}
	close(pair[0]);
	return fd;
}
