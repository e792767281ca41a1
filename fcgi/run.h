/* run.h - one run: the job to the runner, its output back, and how it ended. */
#ifndef CELLBLOCK_RUN_H
#define CELLBLOCK_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "request.h"
#include "runner_link.h"

/* What came out of one pipe: at most the run's output_bytes. */
struct output {
	char *bytes;
	size_t size;
	size_t capacity;
	bool truncated; /* there was more */
};

enum run_end {
	RUN_ENDED,     /* `result` says how */
	RUN_REFUSED,   /* the runner did not begin it; `refusal` says why */
	RUN_NO_RUNNER, /* there is none, or it went away */
	RUN_FAULT,     /* our own; the log says what */
};

/* What came before the run of a compiled language. */
struct compilation {
	bool took_place;     /* or else the language is not compiled */
	bool was_cached;     /* an earlier one of the same source did */
	struct output text;  /* what the compiler printed, on both streams */
	struct run_result result;
	const struct run_limits *limits; /* the compiler's */
};

struct run {
	struct output out, err;
	struct run_result result; /* VERDICT_COMPILE_ERROR: there was no run; `compilation` says why */
	struct compilation compilation;
	enum refusal refusal;
	enum level level; /* of the cell that it had */
};

/* Get the buffers that all runs of this worker use. Dies without memory. */
void run_init(struct run *run);

/*
 * Have `request` compiled, if its language is, and run, and wait for its end or for that of `client_fd`, which ends it. The request is freed as soon as
 * it is written down. What the run came to is in `run` until run_release.
 */
enum run_end run_perform(struct run *run, struct runner_link *link, const struct config *config,
    struct run_request *request, int client_fd);

/* Give the buffers back. */
void run_free(struct run *run);

/* Forget the output, and give memory back that only an unusual run needs. */
void run_release(struct run *run);

#endif
