/*
 * worker.c - see worker.h. It confines itself (lockdown.c), and from then on has nothing but the
 * listening socket and its connection to the runner.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <fcgiapp.h>
#include <json-c/json.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "lockdown.h"
#include "log.h"
#include "route.h"

#define STALE_US 15000000 /* keeps the number of exits low within the time over which multiwatch(1) counts them (-t) */

static volatile sig_atomic_t stopping;

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
	dup3(STDERR_FILENO, WORKER_LISTEN_FD, 0);
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
		fcgi->ipcFd = accept4(WORKER_LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);
	while (fcgi->ipcFd < 0 && (errno == ECONNABORTED || (errno == EINTR && !stopping)));
	if (fcgi->ipcFd < 0)
		return -1;
	fcgi->keepConnection = 1;
	return FCGX_Accept_r(fcgi);
}

void
worker_serve(const struct config *config, const struct policy *policy, void (*ready)(void))
{
	uint64_t start_us = clock_us();
	struct worker worker;
	struct proto_reply state;
	FCGX_Request fcgi;

	warm_up();
	if (FCGX_Init() != 0 || FCGX_InitRequest(&fcgi, WORKER_LISTEN_FD, 0) != 0)
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
	if (ready != NULL)
		ready();

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
}
