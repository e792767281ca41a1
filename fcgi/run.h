/* run.h - one run: hands the job to the runner, reads the output, and learns how the run ended. */
#ifndef CELLBLOCK_RUN_H
#define CELLBLOCK_RUN_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "collected.h"
#include "request.h"
#include "run_pipe.h"
#include "runner_link.h"

struct tests;

/*
 * A byte of output becomes up to JSON_TEXT_MAX bytes of the reply. All of them count: a stream may
 * take this many times output_bytes of the reply. So the reply to any run has a known most size,
 * and a text, whose line breaks and quotes become two bytes each, is never cut for its escapes.
 */
#define RUN_ESCAPES 2

/* The bytes read from one pipe, at most the run's output_bytes. */
struct output {
	char *bytes;
	size_t size;
	size_t capacity;
	bool truncated; /* more was written than is here */
};

enum run_end {
	RUN_ENDED,     /* `result` says how */
	RUN_REFUSED,   /* the runner did not begin it; `refusal` says why */
	RUN_NO_RUNNER, /* it has certainly not begun: no runner can be reached; `cause` says which step failed */
	RUN_LOST,      /* it was handed over and may have begun, and no result will come; `cause` says why */
	RUN_FAULT,     /* a step of this process failed; `cause` says which */
};

/* The compilation before the run of a compiled language. */
struct compilation {
	bool took_place;    /* false: the language is not compiled */
	bool was_cached;    /* the result of an earlier compilation of the same source is used */
	struct output text; /* the compiler's output, both streams in one */
	struct run_result result;
	const struct run_limits *limits; /* the compiler's */
};

struct run {
	struct output out, err;
	struct run_result result; /* VERDICT_COMPILE_ERROR: nothing was run; `compilation` says why */
	struct compilation compilation;
	struct collected files; /* that the run has left, if the request asks for some */
	int files_fd;           /* the same, until they are taken out; -1: none */
	struct proto_refused refused;
	struct proto_account account;       /* of the client's key, with RUN_ENDED and RUN_REFUSED */
	uint32_t id;                        /* of the last message that began a step */
	enum level level;                   /* of the cell that it had */
	const struct tests *tests;          /* what the tests of the request have shown; NULL: it has none */
	char cause[RUNNER_LINK_ERROR_SIZE]; /* the failed step and errno, for the log; clients never see it */
};

/*
 * Functions that follow a run while it goes on, and tell the client of it. The thread of the run
 * calls them.
 */
struct run_follower {
	/* The runner has accepted the run, or has given it to a guest. */
	void (
	    *progress)(struct run_follower *follower, const struct proto_progress *progress, const struct proto_account *account);
	/* Its program is compiled, and not started yet: run->compilation. */
	void (*compiled)(struct run_follower *follower, const struct run *run);
	/* How soon it has something to send, in ms; INT_MAX: only when something has happened. */
	int (*due_ms)(struct run_follower *follower, const struct run *run);
	/* It has something to send, and the client's connection has room. */
	void (*send)(struct run_follower *follower, const struct run *run);
};

/* For whom a run is, and how long that one waits. */
struct run_client {
	int fd;                        /* closed by its peer if the client goes away; -1: none */
	int cut_fd;                    /* can be read when the run must be given up; -1: never */
	const struct run_share *share; /* what the client's key may have */
	uint64_t queue_ms;             /* how long the run may wait for a cell in all */
	uint64_t waited_us;            /* how long of that has passed */
	struct run_follower *follower; /* NULL: the client waits for the end */
};

/* Allocate the buffers that all runs of this thread share. Dies if there is no memory. */
void run_init(struct run *run);

/*
 * Compile `request` if its language is compiled, run it, and wait for the end. If the client goes
 * away before that, the run is cancelled. The request is freed as soon as it has been handed over.
 * The outcome is in `run` until run_release.
 */
enum run_end run_perform(struct run *run, struct runner_link *link, const struct config *config, struct run_request *request,
    const struct run_client *client);

/*
 * The first half of that, for a language that is compiled: have the runner hold the program of
 * `request` for this connection. RUN_ENDED: it does, or run->compilation says why not. The request
 * stays as it is. The runner drops the program with the connection, or for its next request.
 */
enum run_end run_compile(struct run *run, struct runner_link *link, const struct config *config,
    const struct run_request *request, const struct run_client *client);

/* ---- for run_pair.c: the steps of a run, one by one ---- */

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

#define RUN_SENT_FDS 6

/* A run that is under way. */
struct execution {
	bool is_relayed; /* its stdin is a pipe that run_begin leaves empty and open; set before */
	bool collects;
	struct collect_form collect_form;
	int fds[RUN_SENT_FDS], ends[2];
	struct run_input input;
	struct watch watch; /* refers to `input`: the struct stays where it is */
};

/* The message that runs a request. A program that is compiled is held for the connection first. */
void run_message(const struct config *config, const struct run_request *request, const struct run_client *client,
    struct proto_request *message);

/*
 * Send the message with the descriptors made of `request`. RUN_ENDED: it is under way. *start_over:
 * see run_perform. Call run_finish either way.
 */
enum run_end run_begin(struct execution *execution, struct run *run, struct runner_link *link, struct proto_request *message,
    const struct run_request *request, const struct run_client *client, bool *start_over);

/* Whether there is something to wait for. */
bool run_is_awaited(const struct watch *watch);

/* Deal with what poll(2) has found. RUN_ENDED: go on; anything else ends the wait. */
enum run_end run_take_events(struct run *run, struct watch *watch);

/*
 * The deadline has passed: either the runner is late with the result, or the pipes stay open after
 * it.
 */
enum run_end run_deadline_passed(struct run *run, struct watch *watch);

/* Ask the runner to end the run, which is under way. */
void run_cancel(struct run *run, struct watch *watch);

/* Settle the outcome, and close what run_begin has opened. */
void run_finish(struct execution *execution, struct run *run, enum run_end end);

/* Free the buffers. */
void run_free(struct run *run);

/* Discard the outcome, and return the memory that only an unusually large output needs. */
void run_release(struct run *run);

#endif
