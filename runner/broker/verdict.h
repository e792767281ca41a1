/* verdict.h - the verdict on a run, from what is known of its end. No I/O. */
#ifndef CELLBLOCK_VERDICT_H
#define CELLBLOCK_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "messages.h"
#include "proto.h"

/* Why the broker ended a run; END_ITSELF: it did not. */
enum run_end {
	END_ITSELF,
	END_WALL,
	END_CPU,
	END_CLIENT_GONE,
	END_OUTPUT,
	END_DISK,
};

struct run_facts {
	enum run_end end;
	int wait_status; /* of the guest, as wait(2) has it */
	uint64_t cpu_us;
	uint64_t cpu_limit_ms;
	bool out_of_memory;       /* the kernel killed for memory in the cell */
	bool fork_refused;        /* the cell's process limit was hit */
	enum disk_full disk_full; /* what the tmpfs has none left of */
};

/* Fill in verdict, exit_code and signal. */
void verdict_judge(const struct run_facts *facts, struct run_result *result);

#endif
