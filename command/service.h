/*
 * service.h - a request to the service, tried again where that is safe, and its envelope.
 *
 * Safe is: the service has not seen the request; it answered 429, or 503 in its own envelope, which
 * both say that nothing was run; or the request may be carried out twice. A connection that was cut
 * and any other answer are final.
 */
#ifndef CELLBLOCK_SERVICE_H
#define CELLBLOCK_SERVICE_H

#include "http.h"

struct json_object;

struct service_reply {
	struct http_reply http;
	struct json_object *tree; /* the whole envelope; NULL if the answer is none */
	struct json_object *data; /* of the envelope; NULL if it is null */
	int code;                 /* of the envelope */
	const char *message;      /* of the envelope, or why there is none */
};

/* Send a request until there is a final answer, or settings->retry_s are over. */
void service_call(struct http *http, const struct settings *settings, const struct http_request *request,
    struct service_reply *reply);
void service_reply_free(struct service_reply *reply);

/* Whether the request was carried out. */
bool service_is_success(const struct service_reply *reply);

/* The exit code for a request that was not carried out (exit_codes.h). */
int service_exit_code(const struct service_reply *reply);

/* Say on standard error why it was not. Returns the exit code. */
int service_complain(const struct service_reply *reply);

#endif
