/*
 * main.c - cellblock-fcgi, the worker: serves one request at a time from nginx, over FastCGI.
 *
 * spawn-fcgi(1) starts it as an ordinary user, with the listening socket as descriptor 0;
 * multiwatch(1) starts several that share the socket. It reads its configuration, confines itself
 * (lockdown.c), and from then on has nothing but that socket and its connection to the runner.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcgiapp.h>
#include <getopt.h>
#include <json-c/json.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "autoconfig.h"
#include "clock.h"
#include "lockdown.h"
#include "log.h"
#include "route.h"
#include "config_load.h"

#define LISTEN_FD 0
#define STALE_US 15000000 /* keeps the number of exits low within the time over which multiwatch(1) counts them (-t) */

static volatile sig_atomic_t stopping;

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock-fcgi -c file\n"
	    "       cellblock-fcgi --help | --version\n\n"
	    "  -c, --config file  the configuration, see cellblock.conf(5)\n\n"
	    "spawn-fcgi(1) or multiwatch(1) starts it, with the listening socket as descriptor 0.\n");
}

static const char *
parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("cellblock-fcgi " PACKAGE_VERSION);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (path == NULL || optind != argc) {
		usage(stderr);
		exit(2);
	}
	return path;
}

/*
 * Finish the current request, and begin no other. With SA_RESTART nothing that libfcgi does is
 * interrupted. Its accept(2), whether it waits already or comes next, finds that descriptor 0 is no
 * listening socket any more.
 */
static void
on_sigterm(int number)
{
	int error = errno;

	(void)number;
	stopping = 1;
	dup3(STDERR_FILENO, LISTEN_FD, 0);
	errno = error;
}

/* Call this after FCGX_Init, which installs handlers that would abort the current request. */
static void
set_signals(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction stop = { .sa_handler = on_sigterm, .sa_flags = SA_RESTART };

	if (sigaction(SIGPIPE, &ignore, NULL) != 0 || sigaction(SIGUSR1, &ignore, NULL) != 0 ||
	    sigaction(SIGTERM, &stop, NULL) != 0)
		die("sigaction: %s", strerror(errno));
}

static void
check_listening(void)
{
	int listening = 0;
	socklen_t size = sizeof listening;

	if (getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening)
		die("descriptor 0 is not a listening socket: start the worker with spawn-fcgi(1)");
}

/*
 * Do now the things that libraries do at their first use, and that the lockdown would deny: json-c
 * reads a seed for its hash tables.
 */
static void
warm_up(void)
{
	json_object_put(json_tokener_parse("{\"a\":1.5}"));
	/*
	 * A fixed threshold: larger blocks are mapped, and return to the system when they are
	 * freed.
	 */
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}

/*
 * Wait for a request. libfcgi would poll(2) for a connection first, which wakes every idle worker
 * for each one; accept(2) wakes only one. libfcgi uses the connection in the request if it is told
 * to keep it.
 */
static int
accept_request(FCGX_Request *fcgi)
{
	FCGX_Finish_r(fcgi);
	do
		fcgi->ipcFd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);
	while (fcgi->ipcFd < 0 && (errno == ECONNABORTED || (errno == EINTR && !stopping)));
	if (fcgi->ipcFd < 0)
		return -1;
	fcgi->keepConnection = 1;
	return FCGX_Accept_r(fcgi);
}

int
main(int argc, char **argv)
{
	uint64_t start_us = clock_us();
	struct worker worker;
	struct proto_reply state;
	struct policy *policy;
	struct config *config;
	FCGX_Request fcgi;
	char error[512];
	const char *path;

	log_open("cellblock-fcgi");
	path = parse_options(argc, argv);
	lockdown_check();
	check_listening();
	config = config_load(path, error, sizeof error);
	if (config == NULL)
		die("%s", error);
	if (config->log_format == LOG_FORMAT_JSON)
		log_as_json();
	policy = policy_load(config->policy_dir, "worker", error, sizeof error);
	if (policy == NULL)
		die("%s", error);
	warm_up();
	if (FCGX_Init() != 0 || FCGX_InitRequest(&fcgi, LISTEN_FD, 0) != 0)
		die("cannot initialise libfcgi");
	set_signals();
	worker.config = config;
	run_init(&worker.run);
	runner_link_init(&worker.link, config);
	/* The runner may be started later: until then requests are answered with 503. */
	if (runner_link_ask(&worker.link, &(struct proto_request){ .kind = PROTO_STATE }, RECONNECT_ONCE, &state) == 0)
		log_info("%s: connected to the runner", worker.link.path);
	else
		log_warn("the runner cannot be reached: %s", worker.link.error);
	lockdown_enter(config, policy);
	policy_free(policy);

	while (!stopping && accept_request(&fcgi) == 0) {
		/*
		 * On a kept connection, nginx would queue requests for this worker while others are
		 * idle.
		 */
		fcgi.keepConnection = 0;
		route_serve(&worker, &fcgi);
		/*
		 * Only a new worker can read the runner's present configuration. But multiwatch(1)
		 * gives up on workers that exit too often, so a young one answers 503 for a while,
		 * and checks whether the runner has changed.
		 */
		if (worker.link.stale && clock_us() - start_us > STALE_US)
			die("%s: exiting, so that a new worker reads the runner's configuration", worker.link.path);
	}
	if (!stopping)
		die("accept: %s", strerror(errno));
	log_info("stopped by SIGTERM");
	runner_link_close(&worker.link);
	run_free(&worker.run);
	config_free(config);
	return 0;
}
