/*
 * check_config.h - whether a runner can start with a configuration that could be read: what the
 * start checks, without the host's part (check_host.h).
 */
#ifndef CELLBLOCK_CHECK_CONFIG_H
#define CELLBLOCK_CHECK_CONFIG_H

#include "config.h"

/*
 * Check what `config` names: users, directories, policies, interpreters and the paths of their
 * roots. Prints a line for each file on stdout, with a warning where the start would warn, and a
 * line on stderr for each mistake with which the start would end. Runs the interpreters, as the
 * start does; as root, with the uid that they would have then. Returns the exit status: 1 for a
 * mistake.
 */
int check_config(const struct config *config);

#endif
