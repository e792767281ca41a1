/* reply.h - answers one request: status, header and JSON, to nginx through libfcgi. */
#ifndef CELLBLOCK_REPLY_H
#define CELLBLOCK_REPLY_H

#include <fcgiapp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "denied_text.h"
#include "event.h"
#include "http_error.h"
#include "run.h"

struct json_object;

#define REPLY_HEADER_SIZE 1024
#define REPLY_REPLACED "X-Accel-Redirect: " /* begins the header of an answer in whose place nginx gives its own */

struct reply {
	FCGX_Stream *out;
	int fd;                         /* the connection to nginx; 0: not known, and writes may wait */
	size_t unwaited;                /* bytes since the last look whether nginx takes them */
	uint64_t deadline_us;           /* for all of the reply; 0: not set yet */
	bool is_cut;                    /* the rest is not sent: the client is gone, or does not take it */
	char header[REPLY_HEADER_SIZE]; /* more header lines of the answer, each ending in CR LF; or "" */
	enum event_form form;           /* the client wants events */
	bool has_begun;                 /* status and header of an answer with events are sent */
	uint64_t begin_us;              /* when the request came; their times count from here */
	unsigned retry_s;               /* as in Retry-After; 0: there is none */
	/* for the log */
	int status;
	size_t bytes; /* of the body */
};

/*
 * Add a header line, printf-style and without its end, to the answer. It is left out if it does not
 * fit.
 */
void reply_add_header(struct reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Send a complete body. `header`: NULL, or additional header lines, each ending in CR LF. */
void reply_send(struct reply *reply, int status, const char *header, const char *json, size_t size);

/* Send an envelope with code 0 around `data`, which is freed. */
void reply_data(struct reply *reply, struct json_object *data);

/*
 * Send the envelope of an error. `header`: NULL, or additional header lines, each ending in CR LF.
 * An answer with events that has begun gets the event of an error instead.
 */
void reply_error(struct reply *reply, const struct http_error *error, const char *header);

/* The same with more members of the envelope: a text such as ",\"name\":[1]". */
void reply_error_with(struct reply *reply, const struct http_error *error, const char *header, const char *more);

/*
 * Send the outcome of a run that ended (RUN_ENDED). Of `request` its numbers are enough: its texts
 * may be freed. A client, or nginx, that does not take the reply in time gets a part of it. In an
 * answer with events it is the event `result`, and has neither output nor files: they were sent
 * before.
 */
void reply_run(struct reply *reply, const struct run *run, const struct config *config, const struct run_request *request);

/* The facts of a run for the hints about its denied calls. */
struct denied_context reply_denied_context(const struct run *run, const struct config *config, const struct run_request *request);

/* ---- for reply_files.c, reply_tests.c, event.c, events.c and adapters/ ---- */

/* Begin an answer whose body has `size` bytes. */
void reply_begin(struct reply *reply, int status, size_t size);

/* The member `stall_ms` of `usage`, with the comma before it; empty if there is none. */
#define REPLY_STALL_SIZE 40
void reply_stall(const struct run_result *result, char text[REPLY_STALL_SIZE]);

/* The name of a signal as JSON: "SIGSEGV" in quotes, or null. */
void reply_name_signal(int number, char *text, size_t size);

/*
 * From now on nginx has as long to take what is sent as it has for a reply of so many bytes. Only
 * for an answer with events: a plain one has its size.
 */
void reply_expect(struct reply *reply, uint64_t bytes);

/* Send a part of a body, as it is, or as the inside of a JSON string. */
void reply_put(struct reply *reply, const char *bytes, size_t size);
void reply_put_escaped(struct reply *reply, const char *bytes, size_t size);

#endif
