/* exchange.h - one HTTP request and its answer, and the state of the worker between requests. */
#ifndef CELLBLOCK_EXCHANGE_H
#define CELLBLOCK_EXCHANGE_H

#include <fcgiapp.h>

#include "access_log.h"
#include "config.h"
#include "http_error.h"
#include "reply.h"
#include "run.h"
#include "runner_link.h"

#define EXCHANGE_NAME_SIZE 80 /* of the names that nginx gives to a request and to a key */

/* The state of this worker. It lasts from request to request. */
struct worker {
	const struct config *config;
	struct runner_link link;
	struct run run;
};

struct exchange {
	FCGX_Request *fcgi;
	struct reply reply;
	char request_id[EXCHANGE_NAME_SIZE];
	char key_name[EXCHANGE_NAME_SIZE];
	struct access_log log;
	const char *outcome; /* for the log: one word for how a run ended or why there was none, or "-" */
};

/* A FastCGI parameter that nginx has set, or "". */
const char *exchange_parameter(const struct exchange *exchange, const char *name);

/*
 * Answer with `error`. An error of the service (status 500 or 503) is logged beside the request's
 * id: `cause` if there is one, else the error's text. A client never sees the cause of a 500, only
 * the id to look it up by.
 */
void exchange_fail(struct exchange *exchange, struct http_error *error, const char *cause);

#endif
