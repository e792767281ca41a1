/*
 * tests.h - carries out the tests of a request: one compilation, a run in a clean cell for each
 * test, as many at a time as may be, and a verdict on each.
 *
 * A test that the runner refuses is tried again, for as long as the request may take. What comes of
 * none of these attempts is the service's fault, and never a verdict on the program.
 */
#ifndef CELLBLOCK_TESTS_H
#define CELLBLOCK_TESTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crew.h"
#include "exchange.h"
#include "request_tests.h"
#include "run.h"
#include "test_verdict.h"

#define TESTS_REASON_SIZE 160
#define TESTS_SHOWN_BYTES 80 /* of each side of a difference */

/* The beginning of a stream, for the reply. */
struct kept {
	char *bytes; /* NULL: nothing */
	size_t size;
	size_t written; /* by the program, up to its limit */
};

/* The results of a test. */
struct test_outcome {
	enum test_verdict verdict;
	enum fault fault;
	bool is_done; /* all of this is said */
	bool has_run; /* `result` says how it ended */
	struct run_result result;
	struct kept out, err;
	struct {
		bool is_known;
		size_t line, column;
		char expected[TESTS_SHOWN_BYTES], got[TESTS_SHOWN_BYTES];
		size_t expected_size, got_size;
	} difference;
	char reason[TESTS_REASON_SIZE]; /* what else there is to say; or "" */
	bool has_checker;               /* a program of the request's own has judged, or tried to */
	struct run_result checker;
	struct kept checker_text; /* what it wrote to stderr */
};

/* The tests of a request, while they are carried out. */
struct tests {
	struct crew_work work; /* the threads that help */
	const struct config *config;
	const struct run_request *request;
	const struct run_client *client;
	struct events *events;        /* NULL: the client waits for the reply */
	const struct worker *owner;   /* the thread that tells the client */
	struct test_outcome *outcome; /* of each */
	size_t count;
	size_t told;     /* how many the client has been told of */
	bool is_skipped; /* the program does not compile: no test is run */
	uint64_t began_us, ended_us;

	pthread_mutex_t lock; /* of all below */
	size_t next;          /* the first that nobody has begun */
	size_t failed;        /* the first that the program has failed, with stop_on; else `count` */
	bool is_over;         /* no more are begun */
	const char *why_over;
	size_t kept_left;  /* bytes of JSON that the outputs may still take */
	enum run_end left; /* how the first one that could not be run has ended; RUN_ENDED: none */
	struct proto_refused refused;
	struct proto_account account;
	char cause[RUNNER_LINK_ERROR_SIZE];
};

/*
 * Carry out the tests of `request`, with the help of other threads of this process. The outcome is
 * in worker->run and `tests`, and both are for tests_release and run_release. RUN_ENDED: as for a
 * run; the texts of `request` stay until it is freed. Anything else: no test was run. `events`, or
 * NULL, tell the client of each test, in their order. If bad->status is not 0 afterwards, the
 * request itself is at fault, and `bad` says how.
 */
enum run_end tests_perform(struct tests *tests, struct worker *worker, const struct run_request *request,
    const struct run_client *client, struct events *events, struct http_error *bad);

/* ---- for test_checker.c and test_interactor.c ---- */

/* The attempts at one test. */
struct tests_attempts {
	uint64_t away_us; /* since when no runner was there; 0: one is */
	unsigned faults;
};

/*
 * Whether what has not been run can be tried again, and is to be now. Waits before that. A run that
 * may have begun is not tried again.
 */
bool tests_try_again(struct tests *tests, const struct run *run, enum run_end end, struct tests_attempts *attempts);

/*
 * Wait before another attempt. Returns false if there is none: the client is gone, this process
 * ends, or the time of the request is up.
 */
bool tests_pause(struct tests *tests, uint64_t ms);

/* Note how a test ended that came to no result. */
void tests_note_left(struct tests *tests, const struct run *run, enum run_end end);

/*
 * Run a part of the request, with as many attempts as it takes. Returns whether it has ended; the
 * outcome is in worker->run then, for run_release. The request stays as it is.
 */
bool tests_run(struct tests *tests, struct worker *worker, const struct run_request *request);

/*
 * Keep the first `most_bytes` of a stream, as far as all streams together have room in the reply.
 */
void tests_keep(struct tests *tests, const struct output *output, uint64_t most_bytes, struct kept *kept);

/* ---- for route.c ---- */

/* Free what the tests have shown. */
void tests_release(struct tests *tests);

#endif
