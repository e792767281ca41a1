/* memory.h - the memory of an installer, which starts processes of its own. */
#ifndef CELLBLOCK_DEPS_MEMORY_H
#define CELLBLOCK_DEPS_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/*
 * The memory of `root` and of all its descendants in bytes, without what files back: no control
 * group of this process's own could count it. 0 if /proc does not say.
 */
uint64_t memory_of_tree(pid_t root);

#endif
