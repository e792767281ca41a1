/*
 * run_limits.h - the limits of one run, as the worker, the runner and the configuration write them.
 *
 * Every field is greater than zero: "none given" is replaced by the configured default before a struct of
 * this type exists, so that zero can never come to mean "unlimited".
 */
#ifndef CELLBLOCK_RUN_LIMITS_H
#define CELLBLOCK_RUN_LIMITS_H

#include <stdint.h>

struct run_limits {
	uint64_t wall_ms;      /* time from the start of the user's code to its end */
	uint64_t cpu_ms;       /* CPU time of everything in the cell together */
	uint64_t memory_bytes; /* memory of everything in the cell, its tmpfs included */
	uint64_t processes;    /* processes at one time; 1: the program itself and no other */
	uint64_t output_bytes; /* stdout and stderr, each */
	uint64_t disk_bytes;   /* what the tmpfs of the cell holds */
};

#endif
