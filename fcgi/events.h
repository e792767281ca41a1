/*
 * events.h - follows one run, and sends its client what happens: event.h says in which form, and
 * docs/events.md what a client can count on.
 *
 * Output is sent while the program runs, when nginx has room for it, and never waited for: a client
 * that reads slowly changes nothing of its run. What it has not taken stays in the buffers of the
 * run, which hold all of its output and have their limit. The rest is sent when the run has ended.
 */
#ifndef CELLBLOCK_EVENTS_H
#define CELLBLOCK_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"
#include "run.h"

/* How far a stream of the program's is sent. */
struct events_stream {
	size_t sent;      /* bytes of the program's */
	uint64_t escaped; /* what they are in JSON */
	bool is_full;     /* only the end of the run tells where it is to be cut */
};

struct tests;

struct events {
	struct run_follower follower; /* for run_perform */
	struct exchange *exchange;
	uint64_t output_bytes; /* the run's limit */
	uint64_t heartbeat_us; /* 0: none */
	uint64_t last_us;      /* when something was sent */
	bool is_accepted;      /* by the runner: there are events from now on */
	struct proto_account account;
	bool has_compiled, told_compiled; /* it has happened, and the client knows */
	bool has_started, told_started;
	struct proto_progress start;
	struct events_stream out, err;
};

/* Follow a run with these limits, for a client whose reply->form is not EVENT_NONE. */
void events_init(struct events *events, struct exchange *exchange, const struct config *config, const struct run_limits *limits);

/*
 * The run has ended (RUN_ENDED). Send all that comes before its result, which is reply_run's. Waits
 * for the client as reply_run does.
 */
void events_finish(struct events *events, struct run *run);

/*
 * The run came to no end. If events have been sent before, send the output that is there; the
 * error follows.
 */
void events_break_off(struct events *events, struct run *run);

/*
 * A test of the request has its verdict: tell the client of it. Waits for the client as reply_run
 * does.
 */
void events_test(struct events *events, const struct tests *tests, size_t number, const struct proto_account *account);

/*
 * Send an event of another kind at once: `kind` is one of our own words, and `json` the one value
 * that is its data. Waits for the client as reply_run does, so a caller that must not wait calls it
 * when nginx has room.
 */
void events_send(struct events *events, const char *kind, const char *json, size_t size);

#endif
