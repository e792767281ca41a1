/*
 * server.c - see server.h.
 *
 * The threads of the routes accept on one socket, and those of the links on another. The first
 * thread removes what has expired.
 */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fcgi_serve.h"
#include "fcgi_signals.h"
#include "generation.h"
#include "links.h"
#include "lockdown.h"
#include "lockdown_step.h"
#include "log.h"
#include "http.h"

#define LISTEN_FD 0
#define SERVERS 32
#define THREADS_MOST (SERVERS + LINKS_THREADS)
#define STOP_S 6 /* for the requests in progress when this process stops */
#define FILES (32 + LINKS_MOST + 4 * SERVERS + 4 * LINKS_THREADS)
#define STACK_BYTES (512 * 1024)
#define SWEEP_MIN_MS 500
#define SWEEP_MAX_MS 60000

static struct http_context context;
static size_t threads; /* without a store there are no links */
static struct lockdown_step in_step;
static int stop_fd = -1; /* can be read when the threads are to end */

static void
serve(FCGX_Request *fcgi)
{
	http_serve(&context, fcgi);
}

static void *
serve_requests(void *unused)
{
	(void)unused;
	lockdown_step_pass(&in_step);
	fcgi_serve(LISTEN_FD, stop_fd, HTTP_TIMEOUT_S, serve);
	return NULL;
}

static void *
serve_links(void *unused)
{
	(void)unused;
	lockdown_step_pass(&in_step);
	links_serve(stop_fd);
	return NULL;
}

static void
start_threads(pthread_t *thread)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);

	if (error == 0)
		error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (size_t i = 0; i < threads && error == 0; i++)
		error = pthread_create(&thread[i], &attributes, i < SERVERS ? serve_requests : serve_links, NULL);
	if (error != 0)
		die("start a thread: %s", strerror(error));
	pthread_attr_destroy(&attributes);
}

/* Remove what expires, until `signal_fd` can be read. */
static void
sweep_until(int signal_fd)
{
	struct pollfd stop = { .fd = signal_fd, .events = POLLIN };
	uint64_t ms = context.config->store_s * 1000 / 10;

	ms = ms < SWEEP_MIN_MS ? SWEEP_MIN_MS : ms > SWEEP_MAX_MS ? SWEEP_MAX_MS : ms;
	while (poll(&stop, 1, (int)ms) <= 0) {
		if (context.store != NULL)
			store_sweep(context.store);
	}
}

static void
stop_threads(const pthread_t *thread)
{
	uint64_t until_us = clock_us() + STOP_S * 1000000, one = 1;
	struct timespec until = { (time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000 };

	atomic_store(&context.is_stopping, true);
	if (write(stop_fd, &one, sizeof one) < 0)
		die("eventfd: %s", strerror(errno));
	for (size_t i = 0; i < threads; i++) {
		if (pthread_clockjoin_np(thread[i], NULL, CLOCK_MONOTONIC, &until) != 0) {
			log_warn("requests are broken off, %d s after the order to stop", STOP_S);
			_exit(0);
		}
	}
}

void
server_serve(const struct config *config, const struct key_list *keys, const struct policy *policy, struct store *store,
    int dir_fd)
{
	pthread_t thread[THREADS_MOST];
	int signal_fd;

	context.config = config;
	context.keys = keys;
	context.store = store;
	context.of_key = calloc(keys->count + 1, sizeof *context.of_key);
	if (context.of_key == NULL)
		die("out of memory");
	threads = store != NULL ? THREADS_MOST : SERVERS;
	json_object_put(json_tokener_parse("{\"a\":1.5}")); /* json-c reads a seed, which the lockdown denies */
	if (FCGX_Init() != 0)
		die("cannot initialise libfcgi");
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop_fd < 0 || fcntl(LISTEN_FD, F_SETFL, O_NONBLOCK) != 0 || lockdown_step_init(&in_step, (unsigned)threads) != 0)
		die("prepare the store: %s", strerror(errno));
	signal_fd = fcgi_signals();
	if (store != NULL)
		links_begin(config, keys, store, dir_fd);
	lockdown_begin_in(config, dir_fd);
	start_threads(thread);
	lockdown_step_await(&in_step);
	lockdown_complete_with(config, policy, FILES);
	lockdown_step_release(&in_step);
	log_info("%s: %s", config->store_dir, store != NULL ? "the store serves" : "files.store_bytes is 0: no files are kept");
	sweep_until(signal_fd);
	generation_report(GENERATION_LEAVING);
	/* The next process, which makes its own, waits for the lock. */
	if (store != NULL)
		links_end(dir_fd);
	stop_threads(thread);
	log_info("stopped by SIGTERM");
}
