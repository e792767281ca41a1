/* cell_env.h - the environment variables of programs that may use the network. */
#ifndef CELLBLOCK_CELL_ENV_H
#define CELLBLOCK_CELL_ENV_H

#include <stddef.h>

#include "config.h"

#define CELL_ENV_NETWORK_MAX 16 /* variables */

/*
 * Write the variables of the configured network mode to `env`, which has room for
 * CELL_ENV_NETWORK_MAX. The strings are static. Called in the root of the language, as it looks for
 * certificates there. Returns how many there are.
 */
size_t cell_env_network(const struct config *config, const char **env);

#endif
