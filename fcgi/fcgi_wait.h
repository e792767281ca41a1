/* fcgi_wait.h - the wait for a FastCGI connection, of servers whose threads share one socket. */
#ifndef CELLBLOCK_FCGI_WAIT_H
#define CELLBLOCK_FCGI_WAIT_H

/*
 * Wait until a connection comes to `listen_fd`, which is non-blocking, or `stop_fd` can be read.
 * Returns the connection, on which a read or a write waits `timeout_s` seconds at most; the caller
 * closes it. Returns -1 if the process is to stop. Dies if the socket is broken.
 */
int fcgi_wait(int listen_fd, int stop_fd, int timeout_s);

#endif
