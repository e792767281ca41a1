/*
 * event.h - how the events of a run are written: one object for each, in one of two forms.
 * docs/events.md describes all of them.
 *
 *     event: stdout                                     {"event":"stdout","ms":1.5,"data":"42\n"}
 *     data: {"event":"stdout","ms":1.5,"data":"42\n"}
 *
 * Everything goes to libfcgi's buffer. fcgi/events.c says when it is sent.
 */
#ifndef CELLBLOCK_EVENT_H
#define CELLBLOCK_EVENT_H

#include <stddef.h>

struct http_error;
struct reply;

enum event_form {
	EVENT_NONE,   /* the client wants one reply, and no events */
	EVENT_SSE,    /* text/event-stream: server-sent events */
	EVENT_NDJSON, /* application/x-ndjson: a line for each */
};

/* The form that nginx has read from a request's Accept: "sse", "ndjson", or anything else. */
enum event_form event_form_of(const char *name);

/* Begin the answer: status 200, the headers that were added to it, and events from now on. */
void event_head(struct reply *reply);

/*
 * Begin an event of `kind`, one of our own words. Its data follows, one JSON value, by reply_put
 * and reply_put_escaped; then event_end.
 */
void event_begin(struct reply *reply, const char *kind);
void event_end(struct reply *reply);

/* Send a whole event, whose data is `json`. */
void event_send(struct reply *reply, const char *kind, const char *json, size_t size);

/* Send the event of an error, in place of the answer with its status. */
void event_error(struct reply *reply, const struct http_error *error);

#endif
