/*
 * run_limits.h - the limits of one run, for the worker, the runner and the configuration.
 *
 * In a request every field but `threads` is greater than zero. A limit that it does not give is
 * replaced by the configured default before this struct is filled, so zero never means "unlimited".
 */
#ifndef CELLBLOCK_RUN_LIMITS_H
#define CELLBLOCK_RUN_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* With less than this an interpreter, or the guest before it, could not even begin. */
#define RUN_LIMITS_MIN_OPEN_FILES 64
#define RUN_LIMITS_MIN_INODES 16
#define RUN_LIMITS_MIN_STACK_BYTES (1 << 20)

struct run_limits {
	uint64_t wall_ms;      /* time from the start of the user's code to its end */
	uint64_t cpu_ms;       /* CPU time of everything in the cell together */
	uint64_t memory_bytes; /* memory of everything in the cell, including its tmpfs */
	uint64_t processes;    /* processes at the same time; 1: the program itself and no other */
	uint64_t output_bytes; /* stdout and stderr, each */
	uint64_t disk_bytes;   /* the size of the cell's tmpfs */
	uint64_t threads;      /* threads besides the processes; 0: each thread counts as a process */
	uint64_t open_files;   /* of each process */
	uint64_t inodes;       /* files and directories of the cell */
	uint64_t stack_bytes;  /* of the first thread of each process; see run_limits_settle_stack */
};

/*
 * A configuration without a default for the stack has 0 here: it is the memory limit of the run,
 * as far as `most` allows. A run with less memory than the smallest stack meets its memory limit
 * first.
 */
static inline void
run_limits_settle_stack(struct run_limits *limits, const struct run_limits *most)
{
	if (limits->stack_bytes == 0)
		limits->stack_bytes = limits->memory_bytes < most->stack_bytes ? limits->memory_bytes : most->stack_bytes;
	if (limits->stack_bytes < RUN_LIMITS_MIN_STACK_BYTES)
		limits->stack_bytes = RUN_LIMITS_MIN_STACK_BYTES;
}

/*
 * Processes and threads that a run may have at the same time. The kernel counts both alike, so a
 * program that may start processes can use the share of the threads for more of them.
 */
static inline uint64_t
run_limits_tasks(const struct run_limits *limits)
{
	return limits->processes + limits->threads;
}

/* Whether each limit is in its range, and none is above `most`. */
static inline bool
run_limits_within(const struct run_limits *asked, const struct run_limits *most)
{
	return asked->wall_ms - 1 < most->wall_ms && asked->cpu_ms - 1 < most->cpu_ms &&
	    asked->memory_bytes - 1 < most->memory_bytes && asked->processes - 1 < most->processes &&
	    asked->output_bytes - 1 < most->output_bytes && asked->disk_bytes - 1 < most->disk_bytes &&
	    asked->threads <= most->threads && asked->open_files >= RUN_LIMITS_MIN_OPEN_FILES &&
	    asked->open_files <= most->open_files && asked->inodes >= RUN_LIMITS_MIN_INODES && asked->inodes <= most->inodes &&
	    asked->stack_bytes >= RUN_LIMITS_MIN_STACK_BYTES && asked->stack_bytes <= most->stack_bytes;
}

#endif
