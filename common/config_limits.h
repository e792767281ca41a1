/* config_limits.h - the limits in a configuration file. */
#ifndef CELLBLOCK_CONFIG_LIMITS_H
#define CELLBLOCK_CONFIG_LIMITS_H

#include "conf_schema.h"
#include "config.h"

/* The group `limits` of a file, for a struct limits_config. */
extern const struct conf_key config_limits_keys[];

/* The limits of a compiler, which no request can change, for a struct run_limits. */
extern const struct conf_key config_compile_limits_keys[];

/* Check that no default is above its maximum. Returns 0, or -1 with the file's error set. */
int config_limits_check(const struct conf_file *file, const struct limits_config *limits);

/*
 * The default of `processes`, where no file has set it. `has_groups`: control groups are required;
 * else each process may have the whole memory limit for itself, and a run has one by default.
 */
void config_limits_settle(struct limits_config *limits, bool has_groups);

#endif
