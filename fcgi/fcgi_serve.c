/* fcgi_serve.c - see fcgi_serve.h. */
#define _GNU_SOURCE
#include "fcgi_serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "log.h"

/*
 * Wait for a connection. Returns it; the caller closes it. Returns -1 if the process is to stop.
 */
static int
wait_for_connection(int listen_fd, int stop_fd, int timeout_s)
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

void
fcgi_serve(int listen_fd, int stop_fd, int timeout_s, void (*serve)(FCGX_Request *fcgi))
{
	FCGX_Request fcgi;

	if (FCGX_InitRequest(&fcgi, listen_fd, 0) != 0)
		die("cannot initialise libfcgi");
	while ((fcgi.ipcFd = wait_for_connection(listen_fd, stop_fd, timeout_s)) >= 0) {
		/* libfcgi uses the connection in the request if it is told to keep it. */
		fcgi.keepConnection = 1;
		if (FCGX_Accept_r(&fcgi) == 0)
			serve(&fcgi);
	}
}
