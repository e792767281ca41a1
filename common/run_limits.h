/*
 * run_limits.h - the limits of one run, for the worker, the runner and the configuration.
 *
 * Every field is greater than zero. A limit that a request does not give is replaced by the
 * configured default before this struct is filled, so zero never means "unlimited".
 */
#ifndef CELLBLOCK_RUN_LIMITS_H
#define CELLBLOCK_RUN_LIMITS_H

#include <stdint.h>

struct run_limits {
	uint64_t wall_ms;      /* time from the start of the user's code to its end */
	uint64_t cpu_ms;       /* CPU time of everything in the cell together */
	uint64_t memory_bytes; /* memory of everything in the cell, including its tmpfs */
	uint64_t processes;    /* processes at one time; 1: the program itself and no other */
	uint64_t output_bytes; /* stdout and stderr, each */
	uint64_t disk_bytes;   /* the size of the cell's tmpfs */
};

#endif
