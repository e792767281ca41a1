/* reply.h - answers one request: status, header and JSON, to nginx through libfcgi. */
#ifndef CELLBLOCK_REPLY_H
#define CELLBLOCK_REPLY_H

#include <fcgiapp.h>
#include <stddef.h>

#include "http_error.h"
#include "run.h"

struct json_object;

#define REPLY_HEADER_SIZE 256
#define REPLY_REPLACED "X-Accel-Redirect: " /* begins the header of an answer in whose place nginx gives its own */

struct reply {
	FCGX_Stream *out;
	char header[REPLY_HEADER_SIZE]; /* more header lines of the answer, each ending in CR LF; or "" */
	/* for the log */
	int status;
	size_t bytes; /* of the body */
};

/* Send a complete body. `header`: NULL, or additional header lines, each ending in CR LF. */
void reply_send(struct reply *reply, int status, const char *header, const char *json, size_t size);

/* Send an envelope with code 0 around `data`, which is freed. */
void reply_data(struct reply *reply, struct json_object *data);

/*
 * Send the envelope of an error. `header`: NULL, or additional header lines, each ending in CR LF.
 */
void reply_error(struct reply *reply, const struct http_error *error, const char *header);

/* Add a line to the header of the answer, printf-style and without its CR LF. */
void reply_add_header(struct reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Send the outcome of a run that ended (RUN_ENDED) under `limits`. */
void reply_run(struct reply *reply, const struct run *run, const struct run_limits *limits);

#endif
