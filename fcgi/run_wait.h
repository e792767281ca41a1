/* run_wait.h - the wait for a run that was handed over: its output, and the runner's answer. */
#ifndef CELLBLOCK_RUN_WAIT_H
#define CELLBLOCK_RUN_WAIT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "run.h"
#include "run_pipe.h"
#include "runner_link.h"

enum { WATCH_OUT, WATCH_ERR, WATCH_RUNNER, WATCH_CLIENT, WATCH_CUT, WATCH_INPUT, WATCH_COUNT };

/* The wait for a run. */
struct watch {
	struct runner_link *link;
	struct run_input *input;       /* NULL: somebody else feeds it */
	struct run_follower *follower; /* NULL: none */
	uint64_t output_bytes;
	uint64_t deadline_us;
	struct pollfd polled[WATCH_COUNT]; /* fd -1: no longer waited for */
	bool answered;                     /* the result has arrived */
	bool is_compile;                   /* what is written is the compiler's, and no output of the run */
	bool collects;                     /* files come with it */
	bool limit_hit;                    /* a stream exceeded output_bytes */
};

/*
 * Wait until the run has ended and both of its pipes have, or are empty. RUN_ENDED: run->result
 * says how, and the output is in `run`; anything else: it was given up.
 */
enum run_end run_wait(struct run *run, struct watch *watch);

/* ---- the steps of that, for run_pair.c, which waits for two ---- */

/* Whether there is something to wait for. */
bool run_wait_is_needed(const struct watch *watch);

/*
 * How long poll(2) may wait: not at all after the result, when the pipes only are to be emptied.
 * -1: the deadline has passed.
 */
int run_wait_left_ms(const struct watch *watch);

/*
 * Deal with what poll(2) has found, also if that is nothing. RUN_ENDED: go on; anything else ends
 * the wait.
 */
enum run_end run_wait_take_events(struct run *run, struct watch *watch);

/*
 * The deadline has passed: either the runner is late with the result, or children write on after
 * it.
 */
enum run_end run_wait_deadline_passed(struct run *run, struct watch *watch);

/* Ask the runner to end the run, which is under way. */
void run_wait_cancel(struct run *run, struct watch *watch);

#endif
