/*
 * http.h - one request to the service and its answer, by libcurl. No request is ever repeated here,
 * also not by libcurl.
 */
#ifndef CELLBLOCK_HTTP_H
#define CELLBLOCK_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "settings.h"

#define HTTP_ERROR_SIZE 512

struct http_reply;

struct http; /* a connection's settings; for one thread at a time */

struct http_request {
	const char *method, *path;
	const char *body; /* NULL: none, or `file` */
	size_t size;
	FILE *file;         /* a body to send from its beginning; `size` says its length */
	const char *accept; /* a media type; NULL: any */
	long timeout_s;     /* for all of it; 0: none */
	/*
	 * Takes the body of an answer 200 whose Content-Type begins with sink_type (NULL: any)
	 * piece by piece. Returns 0, or -1 to end the request.
	 */
	int (*sink)(void *context, const char *bytes, size_t size);
	const char *sink_type;
	/* Called when the sink has taken a body: makes of it the answer that it stands for. */
	void (*settle)(void *context, struct http_reply *reply);
	void *context;
	bool is_idempotent; /* to carry it out twice does no harm */
};

enum http_end {
	HTTP_ANSWERED,
	HTTP_NOT_SENT, /* the service has not seen the request */
	HTTP_DISTRUST, /* the same, and it never will: its certificate is not trusted, say */
	HTTP_CUT,      /* it may have: the connection was cut, or the time was up */
};

struct http_reply {
	enum http_end end;
	long status;
	char *body; /* NUL-terminated; NULL if the sink took it */
	size_t size;
	bool was_taken;              /* by the sink */
	long retry_after_s;          /* -1: not said */
	char error[HTTP_ERROR_SIZE]; /* unless HTTP_ANSWERED: why */
};

/* Returns a handle for http_close. Exits without memory. */
struct http *http_open(const struct settings *settings);
void http_close(struct http *http);

/* Send a request and take the answer. `reply` is for http_reply_free. */
void http_send(struct http *http, const struct http_request *request, struct http_reply *reply);
void http_reply_free(struct http_reply *reply);

#endif
