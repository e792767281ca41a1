/* fcgi_serve.h - a thread of a FastCGI server whose threads share one socket. */
#ifndef CELLBLOCK_FCGI_SERVE_H
#define CELLBLOCK_FCGI_SERVE_H

#include <fcgiapp.h>

/*
 * Take one request after the other from `listen_fd`, which is non-blocking, and have `serve` answer
 * and end it, until `stop_fd` can be read. A read or a write on a connection waits `timeout_s`
 * seconds at most. Dies if the socket is broken. Call FCGX_Init before.
 */
void fcgi_serve(int listen_fd, int stop_fd, int timeout_s, void (*serve)(FCGX_Request *fcgi));

#endif
