/*
 * status_server.c - see status_server.h.
 *
 * A few threads accept on one socket. A connection that sends or takes nothing holds one of them
 * for TIMEOUT_S at most. Only nginx can connect, and nginx buffers for its clients, so a slow
 * client never holds any.
 */
#define _GNU_SOURCE
#include "status_server.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "auth.h"
#include "clock.h"
#include "cors.h"
#include "exchange.h"
#include "fcgi_end.h"
#include "fcgi_serve.h"
#include "generation.h"
#include "lockdown.h"
#include "lockdown_step.h"
#include "log.h"
#include "process_title.h"
#include "status.h"

#define LISTEN_FD 0
#define SERVERS 4
#define TIMEOUT_S 2
#define YOUNG_US 1000000u /* a process that is younger does not end because of the configuration: it would end again at once */

static struct status status;
static const struct key_list *keys;
static struct lockdown_step in_step; /* of all threads */
static int stop_fd = -1;             /* an eventfd: can be read when the threads are to end */
static volatile sig_atomic_t was_told;
static bool is_leaving;
static uint64_t started_us;

/* ---- one request ------------------------------------------------------------------------------------------------- */

/* All routes. HEAD is a GET whose body nginx leaves out. */
static const struct route {
	const char *path;
	bool needs_key;
	void (*serve)(struct status *status, struct exchange *exchange);
} routes[] = {
	{ "/health", false, status_health },
	{ "/livez", false, status_live },
	{ "/readyz", false, status_ready },
	{ "/v1/sandbox/languages", true, status_languages },
	{ "/v1/sandbox/capabilities", true, status_capabilities },
	/* nginx lets only the addresses that it lists to these. */
	{ "/v1/sandbox/metrics", false, status_metrics },
	{ "/v1/sandbox/metrics/keys", false, status_key_metrics },
};

static void
dispatch(struct exchange *exchange)
{
	const char *path = exchange_parameter(exchange, "DOCUMENT_URI");
	const char *method = exchange_parameter(exchange, "REQUEST_METHOD");
	bool is_shared = cors_add_headers(status.config, exchange_parameter(exchange, "CELLBLOCK_ORIGIN"), &exchange->reply);
	struct http_error error;

	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		if (is_shared && strcmp(method, "OPTIONS") == 0) {
			cors_answer_preflight(&exchange->reply, "GET");
			return;
		}
		if (routes[i].needs_key && auth_check(keys, exchange) != 0)
			return;
		if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
			routes[i].serve(&status, exchange);
		} else {
			http_error_set(&error, 405, "method not allowed");
			reply_error(&exchange->reply, &error, "Allow: GET, HEAD\r\n");
		}
		return;
	}
	http_error_set(&error, 404, "not found: there is no such route");
	exchange_fail(exchange, &error, NULL);
}

/* There is no line in the log: anybody may ask for the health, and nginx has a line already. */
static void
serve(FCGX_Request *fcgi)
{
	struct exchange exchange = exchange_begin(fcgi);

	dispatch(&exchange);
	/*
	 * Read to the end of the request. Data that arrives at a closed socket would reset the
	 * connection, and nginx might lose the reply.
	 */
	while (FCGX_GetChar(fcgi->in) >= 0)
		continue;
	fcgi_end(fcgi);
}

/* ---- the threads ------------------------------------------------------------------------------------------------- */

static void
stop(void)
{
	const uint64_t one = 1;

	if (write(stop_fd, &one, sizeof one) < 0)
		_exit(1); /* no handler could do better: the count is full only after 2^64 signals */
}

static void
on_sigterm(int number)
{
	int error = errno;

	(void)number;
	was_told = 1;
	stop();
	errno = error;
}

/* Only a new process can read the configuration that the runner has now. */
static void
stop_if_outdated(void)
{
	if (clock_us() - started_us < YOUNG_US || !runner_view_is_outdated(&status.view))
		return;
	if (!__atomic_exchange_n(&is_leaving, true, __ATOMIC_RELAXED)) {
		generation_report(GENERATION_LEAVING);
		stop();
	}
}

static void
serve_one(FCGX_Request *fcgi)
{
	serve(fcgi);
	stop_if_outdated();
}

static void *
serve_requests(void *unused)
{
	(void)unused;
	lockdown_step_pass(&in_step);
	fcgi_serve(LISTEN_FD, stop_fd, TIMEOUT_S, serve_one);
	return NULL;
}

static void *
ask_runner(void *view)
{
	lockdown_step_pass(&in_step);
	return runner_view_ask(view);
}

/* Call this after FCGX_Init, which installs handlers of its own. */
static void
set_signals(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction term = { .sa_handler = on_sigterm, .sa_flags = SA_RESTART };

	if (sigaction(SIGPIPE, &ignore, NULL) != 0 || sigaction(SIGUSR1, &ignore, NULL) != 0 ||
	    sigaction(SIGTERM, &term, NULL) != 0)
		die("sigaction: %s", strerror(errno));
}

static void
start(pthread_t *thread, void *(*work)(void *), void *argument)
{
	int error = pthread_create(thread, NULL, work, argument);

	if (error != 0)
		die("start a thread: %s", strerror(error));
}

void
status_server(const struct config *config, const struct key_list *key_list, const struct policy *policy, void (*ready)(void))
{
	pthread_t server[SERVERS], asker;

	process_title_set("status");
	started_us = clock_us();
	keys = key_list;
	status.config = config;
	runner_view_init(&status.view, config);
	json_object_put(json_tokener_parse("{\"a\":1.5}")); /* json-c reads a seed, which the lockdown denies */
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop_fd < 0 || fcntl(LISTEN_FD, F_SETFL, O_NONBLOCK) != 0 || lockdown_step_init(&in_step, SERVERS + 1) != 0)
		die("prepare the status process: %s", strerror(errno));
	if (FCGX_Init() != 0)
		die("cannot initialise libfcgi");
	set_signals();
	lockdown_begin(config);
	start(&asker, ask_runner, &status.view);
	for (size_t i = 0; i < SERVERS; i++)
		start(&server[i], serve_requests, NULL);
	lockdown_step_await(&in_step);
	lockdown_complete(config, policy);
	lockdown_step_release(&in_step);
	if (ready != NULL)
		ready();
	for (size_t i = 0; i < SERVERS; i++)
		pthread_join(server[i], NULL);
	runner_view_stop(&status.view);
	pthread_join(asker, NULL);
	log_info(was_told ? "stopped by SIGTERM" : "ending, so that a new process reads the runner's configuration");
}
