/* request_limits.c - see request_limits.h. */
#include "request_limits.h"

#include <string.h>

const struct request_limit request_limits[REQUEST_LIMITS] = {
	{ "wall_ms", offsetof(struct run_limits, wall_ms), 1 },
	{ "cpu_ms", offsetof(struct run_limits, cpu_ms), 1 },
	{ "memory_bytes", offsetof(struct run_limits, memory_bytes), 1 },
	{ "processes", offsetof(struct run_limits, processes), 1 },
	{ "threads", offsetof(struct run_limits, threads), 1 },
	{ "open_files", offsetof(struct run_limits, open_files), RUN_LIMITS_MIN_OPEN_FILES },
	{ "inodes", offsetof(struct run_limits, inodes), RUN_LIMITS_MIN_INODES },
	{ "stack_bytes", offsetof(struct run_limits, stack_bytes), RUN_LIMITS_MIN_STACK_BYTES },
	{ "output_bytes", offsetof(struct run_limits, output_bytes), 1 },
	{ "disk_bytes", offsetof(struct run_limits, disk_bytes), 1 },
};

uint64_t
request_limit_of(const struct request_limit *limit, const struct run_limits *limits)
{
	uint64_t value;

	memcpy(&value, (const char *)limits + limit->offset, sizeof value);
	return value;
}
