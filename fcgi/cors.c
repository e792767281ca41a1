/* cors.c - see cors.h. Runs in the worker. */
#include "cors.h"

#include <string.h>

#define REQUEST_HEADERS "Content-Type, X-Api-Key, Authorization, X-Request-Id, X-Queue-Timeout, traceparent"
#define REPLY_HEADERS "X-Request-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, traceparent"
#define PREFLIGHT_S 86400 /* for which a browser may remember the answer */

/* The configured origin that stands for `origin`; NULL: none. */
static const char *
find_origin(const struct config *config, const char *origin)
{
	for (size_t i = 0; i < config->cors.count; i++) {
		const char *allowed = config->cors.item[i];

		if (strcmp(allowed, "*") == 0 || strcmp(allowed, origin) == 0)
			return allowed;
	}
	return NULL;
}

bool
cors_add_headers(const struct config *config, const char *origin, struct reply *reply)
{
	const char *allowed = *origin == '\0' ? NULL : find_origin(config, origin);

	/* A cache must not give one page the answer to another. */
	if (config->cors.count > 0)
		reply_add_header(reply, "Vary: Origin");
	if (allowed == NULL)
		return false;
	/* This is our own text and not the client's, though they are equal. */
	reply_add_header(reply, "Access-Control-Allow-Origin: %s", allowed);
	reply_add_header(reply, "Access-Control-Expose-Headers: " REPLY_HEADERS);
	return true;
}

void
cors_answer_preflight(struct reply *reply, const char *method)
{
	reply_add_header(reply, "Access-Control-Allow-Methods: %s", method);
	reply_add_header(reply, "Access-Control-Allow-Headers: " REQUEST_HEADERS);
	reply_add_header(reply, "Access-Control-Max-Age: %d", PREFLIGHT_S);
	reply_send(reply, 204, NULL, "", 0);
}
