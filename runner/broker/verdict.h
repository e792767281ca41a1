/* result.h - the verdict on a run, from what is known of its end. No I/O. */
#ifndef CELLBLOCK_RESULT_H
#define CELLBLOCK_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/broker.h"
#include "proto.h"

struct run_facts {
	enum cell_end end;  /* did we end it, and why */
	int wait_status;    /* as wait(2) has it */
	uint64_t cpu_us;
	uint64_t cpu_limit_ms;
	bool out_of_memory; /* the kernel killed for memory in the cell */
	bool fork_refused;  /* the cell's process limit was hit */
	bool disk_full;     /* the tmpfs has no space or no inode left */
};

/* Fill in verdict, exit_code and signal. */
void verdict_judge(const struct run_facts *facts, struct run_result *result);

#endif
