/*
 * memory_budget.h - how much memory the running cells may be allowed together.
 *
 * The sum of their memory limits stays within it, so that programs which use all that they may do
 * not make the host kill something else.
 */
#ifndef CELLBLOCK_MEMORY_BUDGET_H
#define CELLBLOCK_MEMORY_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"

/*
 * runner.memory_bytes; without it 80 % of what this machine has, or of what the control groups
 * around this process allow, if that is less. Returns 0, with *bytes, and in `text` how it was
 * found. Returns -1 with an error in `text` if some default limit is larger than that: such a run
 * could never start.
 */
int memory_budget_find(const struct config *config, uint64_t *bytes, char *text, size_t size);

/* The same by these numbers, in bytes: memory of the machine, and limit of the groups. */
int memory_budget_of(const struct config *config, uint64_t machine, uint64_t group, uint64_t *bytes, char *text, size_t size);

/* The largest limit that a run may ask for, or a compiler has. */
uint64_t memory_budget_largest(const struct config *config);

#endif
