/* route.c - see route.h. Runs in the worker. nginx has checked the key, the rate and most of the size before. */
#define _GNU_SOURCE
#include "route.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "status.h"
#include "log.h"

static void serve_run(struct worker *worker, struct exchange *exchange);

/* Every route there is. HEAD is a GET whose body nginx leaves out. */
static const struct route {
	const char *path;
	const char *method;
	const char *allow;
	void (*serve)(struct worker *worker, struct exchange *exchange);
} routes[] = {
	{ "/v1/sandbox/run", "POST", "Allow: POST\r\n", serve_run },
	{ "/health", "GET", "Allow: GET, HEAD\r\n", status_health },
	{ "/v1/sandbox/languages", "GET", "Allow: GET, HEAD\r\n", status_languages },
	{ "/v1/sandbox/capabilities", "GET", "Allow: GET, HEAD\r\n", status_capabilities },
};

static const char *
parameter(const struct exchange *exchange, const char *name)
{
	const char *value = FCGX_GetParam(name, exchange->fcgi->envp);

	return value != NULL ? value : "";
}

static void
refuse(struct exchange *exchange, struct http_error *problem)
{
	/* A fault of ours is told to the log; the client gets what to look it up by. */
	if (problem->status == 500) {
		log_warn("request=%s: %s", exchange->request_id, problem->text);
		http_error_set(problem, 500, "internal error; the log says more about request %s", exchange->request_id);
	}
	reply_problem(&exchange->reply, problem, NULL);
}

/* The whole body, for free(); or NULL and what to answer. */
static char *
read_body(struct worker *worker, struct exchange *exchange, size_t *size, struct http_error *problem)
{
	const char *length = parameter(exchange, "CONTENT_LENGTH");
	unsigned long long n;
	char *body, *end;

	errno = 0;
	n = strtoull(length, &end, 10);
	if (*end != '\0' || *length == '-') {
		http_error_set(problem, 400, "Content-Length: must be a number");
		return NULL;
	}
	if (errno != 0 || n > worker->config->body_bytes) {
		http_error_set(problem, 413, "body: must not be larger than %" PRIu64 " bytes",
		    worker->config->body_bytes);
		return NULL;
	}
	body = malloc((size_t)n + 1);
	if (body == NULL) {
		http_error_set(problem, 500, "out of memory");
		return NULL;
	}
	if (FCGX_GetStr(body, (int)n, exchange->fcgi->in) != (int)n) {
		free(body);
		http_error_set(problem, 400, "body: is shorter than its Content-Length");
		return NULL;
	}
	FCGX_GetChar(exchange->fcgi->in); /* the end, which follows: see finish */
	*size = (size_t)n;
	return body;
}

/* Why the runner did not begin. Returns the word for the log. */
static const char *
explain_refusal(enum refusal refusal, const char *language, struct http_error *problem)
{
	switch (refusal) {
	case REFUSED_BUSY:
		http_error_set(problem, 503, "busy: no cell came free in time");
		return "busy";
	case REFUSED_UNAVAILABLE:
		http_error_set(problem, 503, "%s is not available now", language);
		return "unavailable";
	case REFUSED_MISSING:
		http_error_set(problem, 400, "unsupported language: %s is not installed here; /v1/sandbox/languages says more", language);
		return "missing";
	case REFUSED_MALFORMED:
		http_error_set(problem, 500, "the runner finds the message malformed");
		return "malformed";
	case REFUSED_FAULT:
		break;
	}
	http_error_set(problem, 500, "the runner could not make a cell");
	return "fault";
}

static void
serve_run(struct worker *worker, struct exchange *exchange)
{
	struct run_request request;
	struct http_error problem;
	size_t size;
	char *body = read_body(worker, exchange, &size, &problem);
	int parsed;

	if (body == NULL) {
		refuse(exchange, &problem);
		return;
	}
	parsed = request_parse(worker->config, body, size, &request, &problem);
	free(body);
	if (parsed == 0 &&
	    request_use_proxy(worker->config, &request, parameter(exchange, "CELLBLOCK_PROXY"), &problem) < 0) {
		request_free(&request);
		parsed = -1;
	}
	if (parsed < 0) {
		refuse(exchange, &problem);
		return;
	}
	switch (run_perform(&worker->run, &worker->link, worker->config, &request, exchange->fcgi->ipcFd)) {
	case RUN_ENDED:
		exchange->outcome = verdict_name(worker->run.result.verdict);
		reply_run(&exchange->reply, &worker->run, &request.limits);
		break;
	case RUN_REFUSED:
		exchange->outcome = explain_refusal(worker->run.refusal,
		    worker->config->language[request.language]->name, &problem);
		refuse(exchange, &problem);
		break;
	case RUN_NO_RUNNER:
		exchange->outcome = "no_runner";
		http_error_set(&problem, 503, "the runner is away");
		refuse(exchange, &problem);
		break;
	case RUN_FAULT:
		exchange->outcome = "fault";
		http_error_set(&problem, 500, "the run failed here");
		refuse(exchange, &problem);
		break;
	}
	run_release(&worker->run);
}

/* Returns the path for the log: one of ours, never what a stranger wrote. */
static const char *
dispatch(struct worker *worker, struct exchange *exchange)
{
	const char *path = parameter(exchange, "DOCUMENT_URI");
	const char *method = parameter(exchange, "REQUEST_METHOD");
	struct http_error problem;

	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		const struct route *route = &routes[i];

		if (strcmp(route->path, path) != 0)
			continue;
		if (strcmp(strcmp(method, "HEAD") == 0 ? "GET" : method, route->method) == 0) {
			route->serve(worker, exchange);
		} else {
			http_error_set(&problem, 405, "method not allowed");
			reply_problem(&exchange->reply, &problem, route->allow);
		}
		return route->path;
	}
	http_error_set(&problem, 404, "no such route");
	refuse(exchange, &problem);
	return "-";
}

static void
copy_name(char *to, const char *name)
{
	snprintf(to, ROUTE_NAME_SIZE, "%s", *name != '\0' ? name : "-");
}

/*
 * Send what is left of the reply, and close the connection. libfcgi would wait for nginx to do so first, lest what nginx
 * still has to send is answered by an error before the reply is seen. Where all of it has been read, nobody has to wait.
 */
static void
finish(FCGX_Request *fcgi)
{
	fcgi->keepConnection = FCGX_HasSeenEOF(fcgi->in) != 0;
	FCGX_Finish_r(fcgi);
	if (fcgi->ipcFd >= 0)
		close(fcgi->ipcFd);
	fcgi->ipcFd = -1;
}

void
route_serve(struct worker *worker, FCGX_Request *fcgi)
{
	struct exchange exchange = { .fcgi = fcgi, .reply = { .out = fcgi->out }, .outcome = "-" };
	uint64_t start_us = clock_us(), spent_us;
	const char *route;

	/* Finishing the request frees its parameters, and the log can wait until the client has its answer. */
	copy_name(exchange.request_id, parameter(&exchange, "CELLBLOCK_REQUEST_ID"));
	copy_name(exchange.key_name, parameter(&exchange, "CELLBLOCK_KEY_NAME"));
	route = dispatch(worker, &exchange);
	finish(fcgi);
	spent_us = clock_us() - start_us;
	log_info("request=%s key=%s route=%s status=%d outcome=%s ms=%" PRIu64 ".%03u bytes=%zu", exchange.request_id,
	    exchange.key_name, route, exchange.reply.status, exchange.outcome, spent_us / 1000,
	    (unsigned)(spent_us % 1000), exchange.reply.bytes);
}
