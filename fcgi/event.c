/* event.c - see event.h. Runs in the worker. */
#define _GNU_SOURCE
#include "event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "json_text.h"
#include "reply.h"

static const struct {
	const char *name; /* nginx's */
	const char *type; /* Content-Type */
	const char *end;  /* of an event */
} forms[] = {
	[EVENT_NONE] = { "", "", "" },
	[EVENT_SSE] = { "sse", "text/event-stream; charset=utf-8", "}\n\n" },
	[EVENT_NDJSON] = { "ndjson", "application/x-ndjson; charset=utf-8", "}\n" },
};

enum event_form
event_form_of(const char *name)
{
	for (size_t i = EVENT_SSE; i < sizeof forms / sizeof forms[0]; i++) {
		if (strcmp(forms[i].name, name) == 0)
			return (enum event_form)i;
	}
	return EVENT_NONE;
}

void
event_head(struct reply *reply)
{
	char text[256 + REPLY_HEADER_SIZE];
	int n = snprintf(text, sizeof text, "Status: 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\n%s\r\n",
	    forms[reply->form].type, reply->header);

	reply_put(reply, text, (size_t)n);
	reply->status = 200;
	reply->has_begun = true;
	reply->bytes = 0; /* of the body only */
}

void
event_begin(struct reply *reply, const char *kind)
{
	uint64_t us = clock_us() - reply->begin_us;
	char text[192];
	int n = 0;

	if (reply->form == EVENT_SSE)
		n = snprintf(text, sizeof text, "event: %s\ndata: ", kind);
	n += snprintf(text + n, sizeof text - (size_t)n, "{\"event\":\"%s\",\"ms\":%" PRIu64 ".%03u,\"data\":", kind, us / 1000,
	    (unsigned)(us % 1000));
	reply_put(reply, text, (size_t)n);
}

void
event_end(struct reply *reply)
{
	reply_put(reply, forms[reply->form].end, strlen(forms[reply->form].end));
}

void
event_send(struct reply *reply, const char *kind, const char *json, size_t size)
{
	event_begin(reply, kind);
	reply_put(reply, json, size);
	event_end(reply);
}

void
event_error(struct reply *reply, const struct http_error *error)
{
	char text[128];
	int n = snprintf(text, sizeof text, "{\"status\":%d,\"code\":%d,", error->status, error->code);

	if (reply->retry_s != 0)
		n += snprintf(text + n, sizeof text - (size_t)n, "\"retry_after\":%u,", reply->retry_s);
	n += snprintf(text + n, sizeof text - (size_t)n, "\"message\":\"");
	event_begin(reply, "error");
	reply_put(reply, text, (size_t)n);
	reply_put_escaped(reply, error->text, strlen(error->text));
	reply_put(reply, "\"}", 2);
	event_end(reply);
}
