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
 * The lockdown has two parts, because the worker's threads begin between them: no thread can be
 * started after the second, and what the first does holds for one thread and those that it starts.
 */

/*
 * Part 1: give up privileges, capabilities and files, and verify it. Dies if a layer that the
 * configuration requires is not available.
 */
void lockdown_begin(const struct config *config);

/*
 * Part 1 for a process that keeps the directory `dir_fd`, in which it may read, write, make and
 * remove files; -1: it keeps none.
 */
void lockdown_begin_in(const struct config *config, int dir_fd);

/*
 * Part 2: limit what this process may use, and leave all of its threads no system calls but those
 * of the policy. Each thread then calls lockdown_verify. Dies if that fails.
 */
void lockdown_complete(const struct config *config, const struct policy *policy);

/* Part 2 for a process that may have `files` descriptors. */
void lockdown_complete_with(const struct config *config, const struct policy *policy, unsigned files);

/* Check that the policy holds for the calling thread. Dies otherwise. */
void lockdown_verify(void);

#endif
