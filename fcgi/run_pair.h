/*
 * run_pair.h - two runs at the same time, each with the other's output as its input.
 *
 * The worker stands between them: each has its own pipes and its own connection to the runner, and
 * reaches nothing of the other but the bytes that are passed on. So each is held to its own limits,
 * output_bytes included, and neither can keep the other, or this thread, longer than these allow.
 */
#ifndef CELLBLOCK_RUN_PAIR_H
#define CELLBLOCK_RUN_PAIR_H

#include "run_execution.h"

struct run_side {
	/* Set by the caller. */
	struct run *run;
	struct runner_link *link;
	const struct run_request *request; /* stays as it is; its stdin does not matter */
	/* The results. */
	enum run_end end;
	bool was_first; /* it ended before the other */
	/* For run_pair.c. */
	struct execution execution;
	size_t passed; /* of its output */
	bool is_begun;
};

/*
 * Run both sides, and wait until both have ended. The runner starts both or none. Side 1 is the
 * judge: if it ends other than well, side 0 is cancelled. A side sees the end of its input when the
 * other one has ended. RUN_ENDED: the outcomes are in both runs, for run_release. Anything else:
 * the `end` of a side says why; that of the other does not matter. A connection whose run did not
 * come to its end is closed.
 */
enum run_end run_pair(struct run_side side[2], const struct config *config, const struct run_client *client);

#endif
