/* parent.h - the parent of the runner's generations, which keeps the rights of the start. */
#ifndef CELLBLOCK_PARENT_H
#define CELLBLOCK_PARENT_H

#include "config.h"

/*
 * The variable with the group of version 2 in which a generation makes its groups: the one above
 * the parent's own. Unset where the generation has to look for one.
 */
#define PARENT_GROUP "CELLBLOCK_GROUP"

/*
 * Make the socket for workers, and be the parent of the runner (common/generations.h) until a
 * signal ends it. `config` is NULL for a parent that continues with a bad configuration. `argv`: of
 * this program. Returns the exit status. Dies if the socket cannot be made.
 */
int parent_run(const struct config *config, char *const *argv);

/* Remove the control group of a parent that was killed. For `--clean`. */
void parent_clean(const char *socket_path);

#endif
