/* request_limits.h - the limits that a request may set, by name. */
#ifndef CELLBLOCK_REQUEST_LIMITS_H
#define CELLBLOCK_REQUEST_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "run_limits.h"

/* A limit that a request may set, and its place in struct run_limits. */
struct request_limit {
	const char *name;
	size_t offset;
	uint64_t least;
};

#define REQUEST_LIMITS 10
extern const struct request_limit request_limits[REQUEST_LIMITS];

uint64_t request_limit_of(const struct request_limit *limit, const struct run_limits *limits);

#endif
