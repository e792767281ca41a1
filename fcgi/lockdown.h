/* lockdown.h - the layers that confine the worker itself. */
#ifndef CELLBLOCK_LOCKDOWN_H
#define CELLBLOCK_LOCKDOWN_H

#include "config.h"
#include "policy.h"

/*
 * Check, right at the start, that this is an ordinary user, and close all descriptors from
 * `first_fd` on, which is above 2. Dies otherwise.
 */
void lockdown_check(int first_fd);

/*
 * Give up everything that serving requests does not need, permanently, and verify it. Afterwards no
 * file can be opened; sockets can still be connected. Dies if a layer that the configuration
 * requires is not available.
 */
void lockdown_enter(const struct config *config, const struct policy *policy);

#endif
