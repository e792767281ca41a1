/*
 * server.h - the routes about packages: GET /v1/sandbox/dependencies, GET .../refresh and POST
 * .../update, over FastCGI.
 */
#ifndef CELLBLOCK_DEPS_SERVER_H
#define CELLBLOCK_DEPS_SERVER_H

/*
 * Serve the requests that arrive at descriptor 0, a listening socket, until SIGTERM. Each request
 * reads the configuration at `path` anew. Builds what has changed since the last end of this
 * process, and again whenever dependencies.update_s says so. Dies if the start fails.
 */
void server_run(const char *path);

#endif
