/* route.h - one request, from its parameters to its line in the log. */
#ifndef CELLBLOCK_ROUTE_H
#define CELLBLOCK_ROUTE_H

#include <fcgiapp.h>

#include "config.h"
#include "reply.h"
#include "run.h"
#include "runner_link.h"

#define ROUTE_NAME_SIZE 80 /* of what nginx names a request and a key by */

/* What a worker has, from one request to the next. */
struct worker {
	const struct config *config;
	struct runner_link link;
	struct run run;
};

/* One request. */
struct exchange {
	FCGX_Request *fcgi;
	struct reply reply;
	char request_id[ROUTE_NAME_SIZE];
	char key_name[ROUTE_NAME_SIZE];
	const char *outcome; /* for the log: what a run came to, or "-" */
};

/* Answer the request that libfcgi has accepted, finish it and write its line into the log. */
void route_serve(struct worker *worker, FCGX_Request *fcgi);

#endif
