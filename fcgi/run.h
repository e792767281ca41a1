/* run.h - one run: hands the job to the runner, reads the output, and learns how the run ended. */
#ifndef CELLBLOCK_RUN_H
#define CELLBLOCK_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "collected.h"
#include "request.h"
#include "run_output.h"
#include "runner_link.h"

struct tests;

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
	uint64_t waited_us; /* how long the run had waited when this was known */
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

/* Free the buffers. */
void run_free(struct run *run);

/* Discard the outcome, and return the memory that only an unusually large output needs. */
void run_release(struct run *run);

/* ---- for the parts of a run ---- */

/* Note why the run fails, for the log. */
void run_set_cause(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The message that runs a request. A program that is compiled is held for the connection first. */
void run_message(const struct config *config, const struct run_request *request, const struct run_client *client,
    struct proto_request *message);

#endif
