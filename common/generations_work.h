/* generations_work.h - a parent at work: what its files share (generations.c). */
#ifndef CELLBLOCK_GENERATIONS_WORK_H
#define CELLBLOCK_GENERATIONS_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "generations.h"
#include "generations_state.h"

#define NEVER_US UINT64_MAX
#define QUICK_US 5000000u /* for a process to end by itself, where it is not to wait for its work */

struct work {
	const struct generations *what;
	struct parent parent;
	uint32_t next; /* the generation that is being started to replace the current one; 0: none */
	uint32_t next_slot;
	uint64_t next_fails_us;
	bool wants_next;    /* a reload was asked for, and has not begun */
	bool waits_for_old; /* the log says so */
	unsigned failures;  /* young deaths in a row */
	uint64_t start_us;  /* when processes of the current generation may be started */
	int stop_signal;    /* 0: no stop; else what the processes were sent */
	int status;
	uint64_t look_us;    /* at the watched files */
	uint64_t changed_us; /* when a watched file was last seen to change; 0: no change is open */
	uint64_t fingerprint;
	uint64_t watch_reload_us; /* the last time that they asked for a generation */
};

#endif
