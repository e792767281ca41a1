/* lockdown.h - the worker's own walls. */
#ifndef CELLBLOCK_LOCKDOWN_H
#define CELLBLOCK_LOCKDOWN_H

#include "config.h"
#include "policy.h"

/*
 * Right at the start: be an ordinary user with 0, 1 and 2 open and no other descriptor. Dies
 * otherwise.
 */
void lockdown_check(void);

/*
 * Give everything up that serving requests does not need, for good, and make sure that it is gone.
 * Nothing can be opened afterwards; sockets can be connected. Dies when a wall that the
 * configuration requires cannot be had.
 */
void lockdown_enter(const struct config *config, const struct policy *policy);

#endif
