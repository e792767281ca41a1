/*
 * route.c - see route.h. Runs in the worker. nginx has checked the key, the rate and the size of
 * the body before.
 */
#define _GNU_SOURCE
#include "route.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cors.h"
#include "status.h"
#include "traceparent.h"

static void serve_run(struct worker *worker, struct exchange *exchange);

/* All routes. HEAD is a GET whose body nginx leaves out. */
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

/* Read the whole body. Returns it, for free(); or NULL with `error` set. */
static char *
read_body(struct worker *worker, struct exchange *exchange, size_t *size, struct http_error *error)
{
	const char *length = exchange_parameter(exchange, "CONTENT_LENGTH");
	unsigned long long n;
	char *body, *end;

	errno = 0;
	n = strtoull(length, &end, 10);
	if (*end != '\0' || *length == '-') {
		http_error_set(error, 400, "Content-Length: must be a number");
		return NULL;
	}
	if (errno != 0 || n > worker->config->body_bytes) {
		http_error_set(error, 413, "body: must not be larger than %" PRIu64 " bytes", worker->config->body_bytes);
		return NULL;
	}
	body = malloc((size_t)n + 1);
	if (body == NULL) {
		http_error_set(error, 500, "no memory for a body of %llu bytes", n);
		return NULL;
	}
	if (FCGX_GetStr(body, (int)n, exchange->fcgi->in) != (int)n) {
		free(body);
		http_error_set(error, 400, "body: is shorter than its Content-Length");
		return NULL;
	}
	FCGX_GetChar(exchange->fcgi->in); /* reads the end of the stream, which follows: see finish */
	*size = (size_t)n;
	return body;
}

/* Set `error` to why the runner did not begin the run. Returns the outcome for the log. */
static const char *
explain_refusal(enum refusal refusal, const char *language, struct http_error *error)
{
	switch (refusal) {
	case REFUSED_BUSY:
		http_error_set(error, 503, "busy: no cell came free in time");
		return "busy";
	case REFUSED_UNAVAILABLE:
		http_error_set(error, 503, "%s is not available now", language);
		return "unavailable";
	case REFUSED_MISSING:
		http_error_set(error, 400, "unsupported language: %s is not installed here; see GET /v1/sandbox/languages",
		    language);
		return "missing";
	case REFUSED_MALFORMED:
		http_error_set(error, 500, "the runner rejected the message as malformed");
		return "malformed";
	case REFUSED_RATE:
		http_error_set(error, 429, "this key has more requests per second than it may");
		return "rate";
	case REFUSED_SHARE:
		http_error_set(error, 429, "this key has as many requests waiting as it may");
		return "share";
	case REFUSED_STOPPING:
		http_error_set(error, 503, "the service stops; nothing was run");
		return "stopping";
	case REFUSED_LOST:
		http_error_set(error, 500, "the run had begun, and its result is lost");
		return "lost";
	case REFUSED_FAULT:
		break;
	}
	http_error_set(error, 500, "the runner could not start the run; its log says why");
	return "fault";
}

static void
serve_run(struct worker *worker, struct exchange *exchange)
{
	struct run_request request;
	struct http_error error;
	size_t size;
	char *body = read_body(worker, exchange, &size, &error);
	int parsed;

	if (body == NULL) {
		exchange_fail(exchange, &error, NULL);
		return;
	}
	parsed = request_parse(worker->config, body, size, &request, &error);
	free(body);
	if (parsed == 0 &&
	    request_use_proxy(worker->config, &request, exchange_parameter(exchange, "CELLBLOCK_PROXY"), &error) != 0) {
		request_free(&request);
		parsed = -1;
	}
	if (parsed != 0) {
		if (error.lists_languages)
			status_name_languages(worker, &error);
		exchange_fail(exchange, &error, NULL);
		return;
	}
	access_log_request(&exchange->log, worker->config->language[request.language]->name, &request, size);
	switch (run_perform(&worker->run, &worker->link, worker->config, &request, exchange->fcgi->ipcFd)) {
	case RUN_ENDED:
		access_log_result(&exchange->log, &worker->run);
		exchange->outcome = proto_verdict_name(worker->run.result.verdict);
		reply_run(&exchange->reply, &worker->run, worker->config, &request);
		break;
	case RUN_REFUSED:
		exchange->outcome = explain_refusal(worker->run.refusal, worker->config->language[request.language]->name,
		    &error);
		exchange_fail(exchange, &error, NULL);
		break;
	case RUN_NO_RUNNER:
		exchange->outcome = "no_runner";
		http_error_set(&error, 503, "the runner cannot be reached");
		exchange_fail(exchange, &error, worker->run.cause);
		break;
	case RUN_FAULT:
		exchange->outcome = "fault";
		http_error_set(&error, 500, "the worker could not complete the run");
		exchange_fail(exchange, &error, worker->run.cause);
		break;
	}
	run_release(&worker->run);
}

/* Serve the route. Returns its path for the log: one of the table's, never a client's text. */
static const char *
dispatch(struct worker *worker, struct exchange *exchange)
{
	const char *path = exchange_parameter(exchange, "DOCUMENT_URI");
	const char *method = exchange_parameter(exchange, "REQUEST_METHOD");
	bool is_shared = cors_add_headers(worker->config, exchange_parameter(exchange, "CELLBLOCK_ORIGIN"), &exchange->reply);
	struct http_error error;

	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		const struct route *route = &routes[i];

		if (strcmp(route->path, path) != 0)
			continue;
		if (is_shared && strcmp(method, "OPTIONS") == 0)
			cors_answer_preflight(&exchange->reply, route->method);
		else if (strcmp(strcmp(method, "HEAD") == 0 ? "GET" : method, route->method) == 0) {
			route->serve(worker, exchange);
		} else {
			http_error_set(&error, 405, "method not allowed");
			reply_error(&exchange->reply, &error, route->allow);
		}
		return route->path;
	}
	http_error_set(&error, 404, "not found: there is no such route");
	exchange_fail(exchange, &error, NULL);
	return "-";
}

static void
copy_name(char *to, const char *name)
{
	snprintf(to, EXCHANGE_NAME_SIZE, "%s", *name != '\0' ? name : "-");
}

/*
 * Send the rest of the reply, and close the connection. libfcgi would wait for nginx to close
 * first: data that arrives at a closed socket resets the connection, and nginx might lose the
 * reply. If the whole request has been read, nothing can arrive, and there is no need to wait.
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

/* Keep the client's traceparent for the log, and give it back to the client. */
static void
take_traceparent(struct exchange *exchange, char *traceparent)
{
	const char *given = exchange_parameter(exchange, "CELLBLOCK_TRACEPARENT");

	if (traceparent_is_good(given)) {
		memcpy(traceparent, given, TRACEPARENT_SIZE);
		reply_add_header(&exchange->reply, "traceparent: %s", traceparent);
	}
	exchange->log.traceparent = traceparent;
}

static void
log_exchange(struct exchange *exchange, const char *route, uint64_t spent_us)
{
	struct access_log *log = &exchange->log;

	log->request_id = exchange->request_id;
	log->key_name = exchange->key_name;
	log->route = route;
	log->outcome = exchange->outcome;
	log->status = exchange->reply.status;
	log->bytes_out = exchange->reply.bytes;
	log->spent_us = spent_us;
	access_log_write(log);
}

void
route_serve(struct worker *worker, FCGX_Request *fcgi)
{
	struct exchange exchange = { .fcgi = fcgi, .reply = { .out = fcgi->out, .fd = fcgi->ipcFd }, .outcome = "-" };
	uint64_t start_us = clock_us();
	char traceparent[TRACEPARENT_SIZE] = "";
	const char *route;

	/*
	 * Finishing the request frees its parameters; the log line is written after that, when the
	 * client has its answer.
	 */
	copy_name(exchange.request_id, exchange_parameter(&exchange, "CELLBLOCK_REQUEST_ID"));
	copy_name(exchange.key_name, exchange_parameter(&exchange, "CELLBLOCK_KEY_NAME"));
	take_traceparent(&exchange, traceparent);
	route = dispatch(worker, &exchange);
	finish(fcgi);
	log_exchange(&exchange, route, clock_us() - start_us);
}
