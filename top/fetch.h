/* fetch.h - reads a page from a local HTTP server. */
#ifndef CELLBLOCK_TOP_FETCH_H
#define CELLBLOCK_TOP_FETCH_H

#include <stddef.h>

#define FETCH_ERROR_SIZE 256

/*
 * Where the service is: "http://HOST:PORT", or "unix:PATH" for a socket on which nginx listens.
 * Whatever follows is kept as a prefix of the paths.
 */
struct fetch_url {
	char host[256]; /* or the path of the socket */
	char port[8];   /* empty: it is a path */
	char prefix[256];
};

/* Returns 0, or -1 with `error`. */
int fetch_parse(const char *text, struct fetch_url *url, char error[FETCH_ERROR_SIZE]);

/*
 * GET `path`. Returns the body of an answer with status 200, ended by NUL, the caller's to free; or
 * NULL with `error`. Takes `timeout_ms` at most, but for the look-up of a host's name.
 */
char *fetch(const struct fetch_url *url, const char *path, int timeout_ms, char error[FETCH_ERROR_SIZE]);

#endif
