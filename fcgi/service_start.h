/*
 * service_start.h - the first steps of a program that serves as an ordinary user: it becomes the
 * parent (common/generations.h) of the processes that serve, or is one of them.
 */
#ifndef CELLBLOCK_SERVICE_START_H
#define CELLBLOCK_SERVICE_START_H

#include "config.h"
#include "generation.h"

#define SERVICE_LISTEN_FD 0

/*
 * Open the log as `program`, fill in `generation`, check the user, the descriptors and the
 * listening socket, and load the configuration from `path`. Dies if that fails. Returns the
 * configuration, which the caller owns; or NULL, after a line in the log, for a parent that
 * continues although the configuration has become bad. `what`: the process, for the log.
 */
struct config *service_start(const char *program, const char *what, const char *path, struct generation *generation);

#endif
