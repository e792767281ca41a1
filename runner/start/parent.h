/* parent.h - the parent of the runner's generations, which keeps the rights of the start. */
#ifndef CELLBLOCK_PARENT_H
#define CELLBLOCK_PARENT_H

#include "config.h"

/*
 * Make the socket for workers, and be the parent of the runner (common/generations.h) until a
 * signal ends it. `config` is NULL for a parent that continues with a bad configuration. `argv`: of
 * this program. Returns the exit status. Dies if the socket cannot be made.
 */
int parent_run(const struct config *config, char *const *argv);

#endif
