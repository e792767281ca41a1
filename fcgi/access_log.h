/*
 * access_log.h - one line of JSON for each request, on standard error, for those who count: what a
 * request took and how it ended. Never a program, nor a key.
 */
#ifndef CELLBLOCK_ACCESS_LOG_H
#define CELLBLOCK_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto.h"
#include "request.h"
#include "run.h"

#define ACCESS_LOG_LINE_BYTES 2048 /* the longest line; less than PIPE_BUF, so that none is torn */

struct access_log {
	const char *request_id;
	const char *key_name;
	const char *route;
	const char *outcome;     /* one word for how a run ended, or why there was none, or "-" */
	int status;              /* of HTTP */
	uint64_t spent_us;       /* from the request's first byte to the last one of its reply */
	size_t bytes_out;        /* of the reply's body */
	const char *traceparent; /* as the client sent it, if it is well-formed; else "" */

	/* set by access_log_request */
	const char *language; /* NULL: no language was named */
	size_t bytes_in;      /* of the request's body */
	uint8_t code_sha256[PROTO_DIGEST_SIZE];

	/* set by access_log_result */
	bool has_result;
	struct run_result result;
	bool was_compiled, was_cached;
	uint64_t compile_wall_us, compile_cpu_us;
};

/* Note what was asked for, before the texts of the request are freed. `language` is kept. */
void access_log_request(struct access_log *log, const char *language, const struct run_request *request, size_t body_bytes);

/* Note how a run ended (RUN_ENDED). */
void access_log_result(struct access_log *log, const struct run *run);

/*
 * Make the line, with its line feed. `line` has room for ACCESS_LOG_LINE_BYTES. Returns its
 * length.
 */
size_t access_log_format(const struct access_log *log, char *line);

/* Write the line, in one write(2). */
void access_log_write(const struct access_log *log);

#endif
