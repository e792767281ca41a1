/* check_config.h - whether a configuration that could be read is good: its policies, too. */
#ifndef CELLBLOCK_CHECK_CONFIG_H
#define CELLBLOCK_CHECK_CONFIG_H

#include "config.h"

/*
 * Compile every policy that `config` names. Returns the exit status: 1 if one is wrong, with a line
 * on stderr.
 */
int check_config(const struct config *config);

#endif
