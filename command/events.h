/*
 * events.h - the answer to a run as a stream of events: a line of JSON for each, with the members
 * "event", its kind, and "data". Output is printed when it arrives.
 */
#ifndef CELLBLOCK_EVENTS_TAKEN_H
#define CELLBLOCK_EVENTS_TAKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "http.h"

struct json_object;

#define EVENTS_TYPE "application/x-ndjson"

struct events {
	char *line; /* not yet complete */
	size_t size, room;
	bool has_printed;
	struct json_object *files; /* of the events "file"; NULL: none */
	char *envelope;            /* of the answer that the last event stands for; NULL: it has not come */
	long status, retry_after_s;
};

/* The sink of http_request. */
int events_take(void *events, const char *bytes, size_t size);

/*
 * Make of the stream the answer that a client without events would have: of the event "result" an
 * envelope with status 200, and with the files of the run; of "error" one with its own status.
 * Without either the answer is cut.
 */
void events_settle(void *events, struct http_reply *reply);

void events_free(struct events *events);

#endif
