/*
 * fd_budget.h - how many descriptors the runner's processes can need, and the limit (RLIMIT_NOFILE)
 * that gives them.
 *
 * The numbers follow from the configuration, so a host that does not allow them is found at the
 * start, and not by the first busy hour.
 */
#ifndef CELLBLOCK_FD_BUDGET_H
#define CELLBLOCK_FD_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define FD_BUDGET_PARTS 8

/* A summand: `count` things that need `each` descriptors. */
struct fd_part {
	const char *name; /* "cells" */
	uint64_t count;
	uint64_t each;
};

struct fd_budget {
	struct fd_part part[FD_BUDGET_PARTS];
	uint64_t total;
};

/* The most descriptors that the broker can have open at the same time. */
void fd_budget_of_broker(const struct config *config, struct fd_budget *budget);

/* The same for the relay. Used where network.mode is "proxy" only. */
uint64_t fd_budget_of_relay(const struct config *config);

/*
 * Raise the limits of this process to what the broker, the relay and the guests need. Where the
 * hard limit is lower, that takes CAP_SYS_RESOURCE. Returns 0, or -1 with a text in `error` that
 * has the sum and names the settings.
 */
int fd_budget_reserve(const struct config *config, char *error, size_t size);

#endif
