/*
 * route.c - see route.h. Runs in a thread of the worker. nginx has checked the size of the body
 * before, and limits what each address may send.
 */
#define _GNU_SOURCE
#include "route.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/adapter.h"
#include "auth.h"
#include "clock.h"
#include "cors.h"
#include "events.h"
#include "exchange_log.h"
#include "fcgi_end.h"
#include "log.h"
#include "request_pack.h"
#include "request_store.h"
#include "tests.h"

#define WAITED_MAX_US 3600000000u /* a request that says that it has waited for longer has met a jump of the clock */

static void serve_run(struct worker *worker, struct exchange *exchange);
static void serve_key(struct worker *worker, struct exchange *exchange);

/* All routes. Those that report the state of the service are the status process's. */
static const struct route {
	const char *path;
	const char *method;
	const char *allow;
	void (*serve)(struct worker *worker, struct exchange *exchange);
} routes[] = {
	{ "/v1/sandbox/run", "POST", "Allow: POST\r\n", serve_run },
	{ "/.key", "GET", "Allow: GET, HEAD\r\n", serve_key },
};

char *
route_read_body(struct worker *worker, struct exchange *exchange, size_t *size, struct http_error *error)
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

/* The status for a request that its key's own limits refuse. */
static int
busy_status(const struct key_config *key)
{
	return key->busy_status == BUSY_503 ? 503 : 429;
}

/* Set `error` to why the runner did not begin the run. Returns the outcome for the log. */
static const char *
explain_refusal(enum refusal refusal, const struct key_config *key, const char *language, struct http_error *error)
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
		http_error_set(error, busy_status(key), "too many requests: this key may send %u a second", key->share.rate);
		return "rate";
	case REFUSED_SHARE:
		http_error_set(error, busy_status(key), "too many requests: this key has as many waiting as it may");
		return "share";
	case REFUSED_STOPPING:
		http_error_set(error, 503, "the service stops; nothing was run");
		return "stopping";
	case REFUSED_LOST:
		http_error_set(error, 500, "the runner has lost the run");
		return EXCHANGE_LOST;
	case REFUSED_TOO_LARGE:
		http_error_set(error, 400,
		    "limits.memory_bytes: more than all programs may have here together (an interactor counts, too)");
		return "too_large";
	case REFUSED_FAULT:
		break;
	}
	http_error_set(error, 500, "the runner could not start the run; its log says why");
	return "fault";
}

/*
 * How long the request has waited at least since nginx passed it on: until then it was nginx's, and
 * its client sent the body. nginx says when, and cuts the time to a millisecond. Nothing, if it
 * does not say, or the clock was set meanwhile.
 */
static uint64_t
waited_us(const struct exchange *exchange)
{
	const char *arrival = exchange_parameter(exchange, "CELLBLOCK_ARRIVAL");
	unsigned long long seconds, ms;
	struct timespec now;
	uint64_t then_us, now_us;
	char *end;

	seconds = strtoull(arrival, &end, 10);
	if (!isdigit((unsigned char)*arrival) || seconds > UINT32_MAX || end[0] != '.' || strspn(end + 1, "0123456789") != 3 ||
	    end[4] != '\0')
		return 0;
	ms = strtoull(end + 1, NULL, 10);
	clock_gettime(CLOCK_REALTIME, &now);
	then_us = seconds * 1000000 + (ms + 1) * 1000;
	now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	return now_us > then_us && now_us - then_us <= WAITED_MAX_US ? now_us - then_us : 0;
}

/* Read X-Queue-Timeout into exchange->queue_ms. Returns 0, or -1 with `error` set. */
static int
take_queue_timeout(const struct config *config, struct exchange *exchange, struct http_error *error)
{
	const char *text = exchange_parameter(exchange, "CELLBLOCK_QUEUE_TIMEOUT");
	size_t digits = strspn(text, "0123456789");
	unsigned long long ms;

	exchange->queue_ms = config->queue_ms;
	if (*text == '\0')
		return 0;
	ms = strtoull(text, NULL, 10); /* ULLONG_MAX if it is too long */
	if (text[digits] != '\0' || ms == 0 || ms > config->queue_ms)
		return http_error_set(error, 400, "X-Queue-Timeout: must be an integer from 1 to %" PRIu64 " (ms)",
		    config->queue_ms);
	exchange->queue_ms = ms;
	return 0;
}

/* Append the names of the languages that are installed to an error. */
static void
name_languages(struct worker *worker, struct http_error *error)
{
	size_t listed = 0;

	for (size_t i = 0; i < worker->config->language_count; i++) {
		struct proto_request request = { .kind = PROTO_LANGUAGE, .index = (uint32_t)i };
		struct proto_reply answer;

		/* The runner may be away; the error is true without a list. */
		if (runner_link_ask(&worker->link, &request, RECONNECT_ONCE, &answer) != 0)
			return;
		if (answer.u.language.available != 0)
			http_error_append(error, "%s %s", listed++ == 0 ? "; supported are:" : ",",
			    worker->config->language[i]->name);
	}
}

/* Read and check the request. Returns 0 and a request for request_free; or -1 with `error` set. */
static int
take_request(struct worker *worker, struct exchange *exchange, struct run_request *request, struct request_store *store,
    struct http_error *error)
{
	size_t size;
	char *body = route_read_body(worker, exchange, &size, error);
	int parsed;

	if (body == NULL)
		return -1;
	parsed = request_parse(worker->config, body, size, request, error);
	free(body);
	if (parsed != 0) {
		if (error->lists_languages)
			name_languages(worker, error);
		return -1;
	}
	access_log_request(&exchange->log, worker->config->language[request->language]->name, request, size);
	if (auth_check_request(worker->config, exchange->key, request, error) == 0 &&
	    (!request_pack_is_needed(request) ||
	        request_store_fetch(store, worker->config, exchange->key->name, request, error) == 0))
		return 0;
	request_free(request);
	return -1;
}

/*
 * Note how a run has ended, for the log and the client's headers. Returns 0 if it has an outcome;
 * or -1 with `error` set, and in *cause the reason for the log, or NULL.
 */
static int
note_end(struct worker *worker, struct exchange *exchange, const struct run_request *request, enum run_end end,
    struct http_error *error, const char **cause)
{
	struct run *run = &worker->run;

	*cause = NULL;
	switch (end) {
	case RUN_ENDED:
		access_log_result(&exchange->log, run);
		exchange->outcome = proto_verdict_name(run->result.verdict);
		exchange_add_rate(exchange, &run->account);
		return 0;
	case RUN_REFUSED:
		exchange->outcome = explain_refusal(run->refused.refusal, exchange->key,
		    worker->config->language[request->language]->name, error);
		exchange->retry_ms = run->refused.retry_ms;
		exchange_add_rate(exchange, &run->account);
		return -1;
	case RUN_NO_RUNNER:
		exchange->outcome = "no_runner";
		http_error_set(error, 503, "the runner cannot be reached");
		break;
	case RUN_LOST:
		exchange->outcome = EXCHANGE_LOST;
		http_error_set(error, 500, "the run is lost");
		break;
	case RUN_FAULT:
		exchange->outcome = "fault";
		http_error_set(error, 500, "the worker could not complete the run");
		break;
	}
	*cause = run->cause;
	return -1;
}

/* Whether there is time left to wait for a cell. Else `error` is set. */
static bool
has_time(struct exchange *exchange, struct http_error *error)
{
	if (exchange->waited_us < exchange->queue_ms * 1000)
		return true;
	exchange->outcome = "busy";
	http_error_set(error, 503, "busy: no worker came free in time");
	return false;
}

/* The client of the exchange. `share` is filled in, and must last as long. */
static struct run_client
client_of(const struct worker *worker, const struct exchange *exchange, struct run_share *share)
{
	auth_share(exchange->key, share);
	return (struct run_client){ .fd = exchange->fcgi->ipcFd,
		.cut_fd = worker->cut_fd,
		.share = share,
		.queue_ms = exchange->queue_ms,
		.waited_us = exchange->waited_us };
}

int
route_run(struct worker *worker, struct exchange *exchange, struct run_request *request, struct http_error *error,
    const char **cause)
{
	struct run_share share;
	struct run_client client;

	*cause = NULL;
	if (!has_time(exchange, error)) {
		request_free(request);
		return -1;
	}
	client = client_of(worker, exchange, &share);
	return note_end(worker, exchange, request, run_perform(&worker->run, &worker->link, worker->config, request, &client),
	    error, cause);
}

/* `events`: NULL, or what has told of the run so far. */
static void
answer_run(struct worker *worker, struct exchange *exchange, enum run_end end, const struct run_request *request,
    struct events *events)
{
	struct http_error error;
	const char *cause;

	if (events != NULL && end == RUN_ENDED)
		events_finish(events, &worker->run);
	else if (events != NULL)
		events_break_off(events, &worker->run);
	if (note_end(worker, exchange, request, end, &error, &cause) == 0)
		reply_run(&exchange->reply, &worker->run, worker->config, request);
	else
		exchange_fail(exchange, &error, cause);
}

/* A request with tests: many runs, and one reply. `events`: NULL, or what tells of each test. */
static void
serve_tests(struct worker *worker, struct exchange *exchange, struct run_request *request, const struct run_client *client,
    struct events *events)
{
	struct http_error bad;
	struct tests tests;
	enum run_end end = tests_perform(&tests, worker, request, client, events, &bad);

	if (bad.status != 0)
		exchange_fail(exchange, &bad, NULL);
	else
		answer_run(worker, exchange, end, request, events);
	worker->run.tests = NULL;
	run_release(&worker->run);
	tests_release(&tests);
	request_free(request);
}

/* The runs of a request that is good. `store` has what it needs of the store. */
static void
perform_run(struct worker *worker, struct exchange *exchange, struct run_request *request, struct request_store *store)
{
	struct run_share share;
	struct run_client client = client_of(worker, exchange, &share);
	struct events events, *followed = NULL;
	enum run_end end;

	exchange->reply.form = event_form_of(exchange_parameter(exchange, "CELLBLOCK_EVENTS"));
	if (exchange->reply.form != EVENT_NONE) {
		events_init(&events, exchange, worker->config, &request->limits);
		followed = &events;
	}
	if (request->tests != NULL) {
		serve_tests(worker, exchange, request, &client, followed);
		return;
	}
	client.follower = followed != NULL ? &followed->follower : NULL;
	end = run_perform(&worker->run, &worker->link, worker->config, request, &client);
	request_store_keep(store, worker->config, exchange->key->name, &worker->run.files);
	answer_run(worker, exchange, end, request, followed);
	run_release(&worker->run);
}

static void
serve_run(struct worker *worker, struct exchange *exchange)
{
	struct run_request request;
	struct request_store store;
	struct http_error error;

	request_store_init(&store);
	if (take_queue_timeout(worker->config, exchange, &error) != 0 ||
	    take_request(worker, exchange, &request, &store, &error) != 0) {
		if (store.missing != NULL)
			reply_error_with(&exchange->reply, &error, NULL, store.missing);
		else
			exchange_fail(exchange, &error, store.cause);
	} else if (!has_time(exchange, &error)) {
		request_free(&request);
		exchange_fail(exchange, &error, NULL);
	} else {
		perform_run(worker, exchange, &request, &store);
	}
	request_store_end(&store);
}

/* nginx asks whether a key is right, before it takes a large body. No client can ask this. */
static void
serve_key(struct worker *worker, struct exchange *exchange)
{
	(void)worker;
	reply_send(&exchange->reply, 200, NULL, "{}", 2);
}

/* Serve the route. Returns its path for the log: one of the table's, never a client's text. */
static const char *
dispatch(struct worker *worker, struct exchange *exchange)
{
	const char *path = exchange_parameter(exchange, "DOCUMENT_URI");
	const char *method = exchange_parameter(exchange, "REQUEST_METHOD");
	bool is_shared = cors_add_headers(worker->config, exchange_parameter(exchange, "CELLBLOCK_ORIGIN"), &exchange->reply);
	struct http_error error;
	const char *served;

	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		const struct route *route = &routes[i];

		if (strcmp(route->path, path) != 0)
			continue;
		if (is_shared && strcmp(method, "OPTIONS") == 0) {
			cors_answer_preflight(&exchange->reply, route->method);
			return route->path;
		}
		if (auth_check(worker->keys, exchange) != 0)
			return route->path;
		if (strcmp(strcmp(method, "HEAD") == 0 ? "GET" : method, route->method) == 0) {
			route->serve(worker, exchange);
		} else {
			http_error_set(&error, 405, "method not allowed");
			reply_error(&exchange->reply, &error, route->allow);
		}
		return route->path;
	}
	served = adapter_serve(worker, exchange, path, method);
	if (served != NULL)
		return served;
	/* Only who has a key learns which routes there are. */
	if (auth_check(worker->keys, exchange) != 0)
		return "-";
	http_error_set(&error, 404, "not found: there is no such route");
	exchange_fail(exchange, &error, NULL);
	return "-";
}

void
route_serve(struct worker *worker, FCGX_Request *fcgi)
{
	struct exchange exchange = exchange_begin(fcgi);
	uint64_t start_us = exchange.reply.begin_us = clock_us();
	char traceparent[TRACEPARENT_SIZE] = "";
	const char *route;

	/*
	 * Finishing the request frees its parameters; the log line is written after that, when the
	 * client has its answer.
	 */
	exchange_log_traceparent(&exchange, traceparent);
	exchange.waited_us = waited_us(&exchange);
	route = dispatch(worker, &exchange);
	fcgi_end(fcgi);
	exchange_log_write(&exchange, route, clock_us() - start_us);
}
