/* fcgi_wait.c - see fcgi_wait.h. */
#define _GNU_SOURCE
#include "fcgi_wait.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "log.h"

int
fcgi_wait(int listen_fd, int stop_fd, int timeout_s)
{
	const struct timeval most = { .tv_sec = timeout_s };

	for (;;) {
		struct pollfd fds[] = { { .fd = listen_fd, .events = POLLIN }, { .fd = stop_fd, .events = POLLIN } };
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if ((fds[1].revents & POLLIN) != 0)
			return -1;
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0 &&
		    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
		else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			die("accept: %s", strerror(errno)); /* another thread may have taken it: EAGAIN */
	}
}
