/*
 * worker.c - see worker.h.
 *
 * A worker has worker.requests threads. Each serves one request at a time, and has its own
 * connection to the runner and its own buffers; they share nothing but what is constant. The first
 * thread serves nothing: it waits for the order to stop.
 *
 * All threads wait for a connection on one socket, which other workers share. The kernel wakes one
 * of them for each connection (EPOLLEXCLUSIVE). While a thread waits it also notices that the
 * runner has moved or ended.
 *
 * A process that stops accepts only connections for which it was woken. Each thread ends after the
 * request that it has begun. After drain_ms the requests that still wait for their runs are
 * answered as lost.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "autoconfig.h"
#include "clock.h"
#include "crew.h"
#include "fcgi_signals.h"
#include "generation.h"
#include "lockdown.h"
#include "lockdown_step.h"
#include "log.h"
#include "log_limit.h"
#include "route.h"

/*
 * A worker cannot serve a runner that has read another configuration than it has, and ends for
 * another one to start. A young one waits, because the next would not know more.
 */
#define STALE_US 2000000
#define MATCH_MS 5000         /* how long to wait at the start for a runner that has the same configuration */
#define REPLACE_MS 55000      /* the same, where others serve meanwhile */
#define LOOK_AGAIN_MS 100     /* for such a runner */
#define LOOK_MS 1000          /* how often one idle thread looks for a runner and for connections */
#define ACCEPT_AGAIN_MS 100   /* the pause after accept(2) failed for want of something */
#define CUT_MS 2000           /* how long the threads have to answer the requests that are given up */
#define ARENAS 8              /* of malloc(3): small requests seldom meet in one */
#define RESERVE_OF_SERVICE 32 /* requests that a service takes beyond those that run and wait */
#ifdef CELLBLOCK_SANITIZERS
#define STACK_BYTES (2048 * 1024)
#else
#define STACK_BYTES (256 * 1024) /* a request has needed less than 90 KiB; what is not used costs nothing */
#endif

struct thread {
	pthread_t id;
	struct process *process;
	struct worker worker;
	uint32_t watched; /* the connection to the runner that epoll watches, as counted by the link */
	int epoll_fd;
};

/* The state that the threads of a worker share. */
struct process {
	uint64_t start_us;
	int stop_fd;  /* can be read when no more requests are to be accepted */
	int cut_fd;   /* can be read when no more runs are to be waited for */
	int found_fd; /* changes when the first thread has connected to a runner */
	struct crew crew;
	struct lockdown_step step;
	struct thread *thread;
	uint32_t count;
};

uint32_t
worker_processes(const struct config *config)
{
	return (config->cells + config->queue + RESERVE_OF_SERVICE - 1) / config->requests + 1;
}

/* ---- a thread --------------------------------------------------------------------------------------------------- */

static void
announce(int event_fd)
{
	uint64_t one = 1;

	if (write(event_fd, &one, sizeof one) < 0)
		die("eventfd: %s", strerror(errno));
}

/* Look after the connection to the runner. Called between requests. */
static void
tend_link(struct thread *thread)
{
	struct runner_link *link = &thread->worker.link;
	struct epoll_event event = { .events = EPOLLIN, .data.fd = link->fd };

	if (link->stale && clock_us() - thread->process->start_us > STALE_US)
		announce(thread->process->stop_fd);
	if (link->fd < 0 || thread->watched == link->connections)
		return;
	if (epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, link->fd, &event) != 0)
		die("epoll_ctl: %s", strerror(errno));
	thread->watched = link->connections;
	if (thread == thread->process->thread)
		announce(thread->process->found_fd);
}

/*
 * Accept a connection and read its request. libfcgi would poll(2) for a connection first, which
 * wakes every idle thread for each one. It uses the connection in the request if it is told to keep
 * it. Returns 0, or -1 if there is no request after all.
 */
static int
accept_request(FCGX_Request *fcgi)
{
	static struct log_limit limit;

	fcgi->ipcFd = accept4(WORKER_LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);
	if (fcgi->ipcFd < 0) {
		switch (errno) {
		case EAGAIN: /* another thread was faster */
		case EINTR:
		case ECONNABORTED:
			return -1;
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			log_limit_warn(&limit, "accept: %s", strerror(errno));
			poll(NULL, 0, ACCEPT_AGAIN_MS);
			return -1;
		default:
			die("accept: %s", strerror(errno));
		}
	}
	fcgi->keepConnection = 1;
	if (FCGX_Accept_r(fcgi) != 0)
		return -1;
	/*
	 * On a kept connection, nginx would queue requests for this thread while others are idle.
	 */
	fcgi->keepConnection = 0;
	return 0;
}

/* Wait for what comes next, and do it. Returns false when this process stops. */
static bool
take_turn(struct thread *thread, FCGX_Request *fcgi)
{
	struct runner_link *link = &thread->worker.link;
	/*
	 * One thread of the process looks for a runner, or for a newer one, because a runner that
	 * starts may be slow to answer. The others follow it at once: a thread that connects later
	 * may find one with another configuration.
	 */
	bool is_first = thread == thread->process->thread;
	bool has_connection, has_message = false, is_found = false, is_stopped = false, is_called = false;
	struct epoll_event event[5];
	int n = epoll_wait(thread->epoll_fd, event, sizeof event / sizeof event[0], is_first ? LOOK_MS : -1);

	if (n < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	if (n == 0 && (link->fd < 0 || link->moved))
		runner_link_connect(link);
	/* Only one thread is woken for a connection. Its process may be stopped, so others look. */
	has_connection = n == 0;
	for (int i = 0; i < n; i++) {
		is_stopped |= event[i].data.fd == thread->process->stop_fd;
		has_connection |= event[i].data.fd == WORKER_LISTEN_FD;
		has_message |= event[i].data.fd == link->fd;
		is_found |= event[i].data.fd == thread->process->found_fd;
		is_called |= event[i].data.fd == thread->process->crew.call_fd;
	}
	/* First the runner, so that the request goes to the right one. */
	if (has_message)
		runner_link_idle(link);
	if (is_found)
		runner_link_connect(link);
	/*
	 * Only this thread was woken for the connection, even if it is to stop. Without it the
	 * client would wait until another connection comes.
	 */
	if (has_connection && accept_request(fcgi) == 0)
		route_serve(&thread->worker, fcgi);
	if (is_called)
		crew_help(&thread->process->crew, &thread->worker);
	if (is_stopped)
		return false;
	tend_link(thread);
	return true;
}

static void *
run_thread(void *argument)
{
	struct thread *thread = argument;
	FCGX_Request fcgi;

	lockdown_step_pass(&thread->process->step);
	run_init(&thread->worker.run);
	/* libfcgi has no socket to accept on by itself after a request that it cannot read. */
	if (FCGX_InitRequest(&fcgi, -1, 0) != 0)
		die("cannot initialise libfcgi");
	tend_link(thread);
	while (take_turn(thread, &fcgi))
		;
	runner_link_close(&thread->worker.link);
	run_free(&thread->worker.run);
	return NULL;
}

/* ---- the process ------------------------------------------------------------------------------------------------ */

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
	mallopt(M_ARENA_MAX, ARENAS);
}

static int
make_event_fd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		die("eventfd: %s", strerror(errno));
	return fd;
}

static void
watch(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

/*
 * Wait for a runner that has the configuration of this worker: the runner may be about to read it,
 * and other workers may fit the present one. Nobody needs to wait for a runner that is not there,
 * unless other workers serve meanwhile. `stop_fd` can be read when this process is to end.
 */
static void
wait_for_runner(struct process *process, bool replaces, int stop_fd)
{
	struct runner_link *link = &process->thread[0].worker.link;
	struct pollfd stop = { .fd = stop_fd, .events = POLLIN };
	uint64_t until_us = clock_us() + (replaces ? REPLACE_MS : MATCH_MS) * UINT64_C(1000);

	while (runner_link_connect(link) != 0 && (replaces || link->stale)) {
		if (clock_us() >= until_us) {
			if (replaces)
				die("%s: no runner has read the configuration of this worker", link->error);
			return;
		}
		if (poll(&stop, 1, LOOK_AGAIN_MS) > 0)
			exit(0);
	}
}

/*
 * Connect the threads to the runner now, so that they stay with the one whose configuration this
 * worker has. It may be started later: until then requests are answered with 503.
 */
static void
connect_threads(struct process *process)
{
	for (uint32_t i = 0; i < process->count; i++) {
		struct runner_link *link = &process->thread[i].worker.link;

		if (runner_link_connect(link) != 0) {
			log_warn("the runner cannot be reached: %s", link->error);
			return;
		}
	}
	log_info("%s: connected to the runner", process->thread[0].worker.link.path);
}

static void
start_threads(struct process *process, const struct config *config, const struct key_list *keys, bool replaces, int stop_fd)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);

	if (error == 0)
		error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (error == 0)
		error = lockdown_step_init(&process->step, process->count);
	if (error != 0)
		die("threads: %s", strerror(error));
	for (uint32_t i = 0; i < process->count; i++) {
		struct thread *thread = &process->thread[i];

		thread->process = process;
		thread->worker = (struct worker){ .config = config,
			.keys = keys,
			.cut_fd = process->cut_fd,
			.crew = &process->crew };
		runner_link_init(&thread->worker.link, config);
		thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (thread->epoll_fd < 0)
			die("epoll_create1: %s", strerror(errno));
		watch(thread->epoll_fd, WORKER_LISTEN_FD, EPOLLIN | EPOLLEXCLUSIVE);
		watch(thread->epoll_fd, process->stop_fd, EPOLLIN);
		watch(thread->epoll_fd, process->found_fd, EPOLLIN | EPOLLET);
		watch(thread->epoll_fd, process->crew.call_fd, EPOLLIN | EPOLLEXCLUSIVE);
	}
	wait_for_runner(process, replaces, stop_fd);
	connect_threads(process);
	for (uint32_t i = 0; i < process->count; i++) {
		error = pthread_create(&process->thread[i].id, &attributes, run_thread, &process->thread[i]);
		if (error != 0)
			die("worker.requests: thread %u of %u cannot be started: %s", i + 1, process->count, strerror(error));
	}
	pthread_attr_destroy(&attributes);
}

/* Wait for all threads to end, for `ms` at most. Returns whether they have. */
static bool
join_threads(struct process *process, uint64_t ms)
{
	uint64_t until_us = clock_us() + ms * 1000;
	struct timespec until = { (time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000 };

	for (; process->count > 0; process->count--) {
		if (pthread_clockjoin_np(process->thread[process->count - 1].id, NULL, CLOCK_MONOTONIC, &until) != 0)
			return false;
	}
	return true;
}

static void
stop_threads(struct process *process, const struct config *config)
{
	announce(process->stop_fd);
	if (join_threads(process, config->drain_ms))
		return;
	log_warn("%u requests or fewer are given up, %llu ms after the order to stop", process->count,
	    (unsigned long long)config->drain_ms);
	announce(process->cut_fd);
	if (!join_threads(process, CUT_MS))
		exit(0); /* those that are left have the memory that the caller would free */
}

void
worker_serve(const struct config *config, const struct key_list *keys, const struct policy *policy, bool replaces,
    void (*ready)(void))
{
	struct process process = { .start_us = clock_us(), .count = config->requests };
	struct pollfd wait[2];
	int n;

	warm_up();
	if (FCGX_Init() != 0)
		die("cannot initialise libfcgi");
	/*
	 * A thread that was woken for a connection which another one took must not wait for the
	 * next.
	 */
	if (fcntl(WORKER_LISTEN_FD, F_SETFL, O_NONBLOCK) != 0)
		die("fcntl: %s", strerror(errno));
	process.stop_fd = make_event_fd();
	process.cut_fd = make_event_fd();
	process.found_fd = make_event_fd();
	crew_init(&process.crew, process.count);
	process.thread = calloc(process.count, sizeof *process.thread);
	if (process.thread == NULL)
		die("out of memory");
	wait[0] = (struct pollfd){ .fd = fcgi_signals(), .events = POLLIN };
	wait[1] = (struct pollfd){ .fd = process.stop_fd, .events = POLLIN };
	lockdown_begin(config);
	start_threads(&process, config, keys, replaces, wait[0].fd);
	lockdown_step_await(&process.step);
	lockdown_complete(config, policy);
	lockdown_step_release(&process.step);
	if (ready != NULL)
		ready();

	do
		n = poll(wait, 2, -1);
	while (n < 0 && errno == EINTR);
	if (wait[0].revents != 0)
		log_info("stopped by SIGTERM");
	else
		log_info("%s: ending, so that a new worker reads the runner's configuration", config->socket_path);
	generation_report(GENERATION_LEAVING);
	stop_threads(&process, config);
	free(process.thread);
}
