/*
 * serve.c - see serve.h. Pid 1 of the runner's pid namespace, root of its user namespace, nobody on
 * the host.
 */
#define _GNU_SOURCE
#include "broker/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_network.h"
#include "broker/cell_run.h"
#include "broker/client.h"
#include "broker/dispatch.h"
#include "broker/drain.h"
#include "broker/handed_socket.h"
#include "broker/health.h"
#include "broker/language.h"
#include "broker/meter.h"
#include "broker/zygotes.h"
#include "clock.h"
#include "config_dependencies.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"
#include "process_title.h"

#define WAIT_MOST_US 60000000u

/* ---- children --------------------------------------------------------------------------------------------------- */

static void
child_exited(struct broker *broker, pid_t pid, int wait_status, const struct rusage *usage)
{
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		if (broker->cell[i].guest_pid == pid) {
			cell_run_guest_exited(broker, &broker->cell[i], wait_status, usage);
			return;
		}
	}
	/*
	 * Else a zygote that was replaced, a guest that died before it could report, or an init
	 * whose warden died: we are pid 1, and it came to us.
	 */
	zygotes_child_exited(broker, pid, wait_status);
}

static void
children_ready(void *context, struct watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;
	struct rusage usage;
	int wait_status;
	pid_t pid;

	(void)events;
	/* One signal may stand for many deaths. */
	if (read(watch->fd, &info, sizeof info) < 0 && errno != EAGAIN)
		log_warn("read the signal descriptor: %s", strerror(errno));
	while ((pid = wait4(-1, &wait_status, WNOHANG, &usage)) > 0)
		child_exited(context, pid, wait_status, &usage);
}

/* ---- the door and the relay ------------------------------------------------------------------------------------- */

/*
 * The relay has died, and with it the connections of the runs. The next relay serves the sockets
 * that they make then. Runs that have not begun wait for it: the cells that were armed for them
 * would have no network.
 */
static void
relay_gone(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;

	(void)events;
	loop_unwatch(&broker->loop, watch);
	cell_network_relay_gone(broker);
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		if (broker->cell[i].state == CELL_ARMED && cell_network_has_proxy(broker, &broker->cell[i]))
			cell_give_up(broker, &broker->cell[i]);
	}
}

static void
take_relay(struct broker *broker, int fd)
{
	if (broker->relay.fd >= 0)
		relay_gone(broker, &broker->relay, 0);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || loop_watch(&broker->loop, &broker->relay, fd, relay_gone) != 0) {
		log_warn("take on the relay: %s", strerror(errno));
		close(fd);
	}
	loop_dispatch(&broker->loop);
}

static void
lock_packages(const struct broker *broker, enum set_lock lock)
{
	for (size_t i = 0; i < broker->language_count; i++)
		language_lock_packages(&broker->language[i], lock);
}

/*
 * A connection that the door has let in, or the relay; or the door has gone, and the broker with
 * it.
 */
static void
door_ready(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct door_visitor visitor;
	size_t count;
	int fd = -1;
	ssize_t n = fdpass_recv(watch->fd, &visitor, sizeof visitor, &fd, 1, &count, NULL);

	(void)events;
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		drain_finish(broker);
	if (n < 0) {
		/* One connection is lost, and the next ones may fare better. */
		log_limit_warn(&broker->no_descriptors, "take on a connection: %s", strerror(errno));
		return;
	}
	if (count == 1 && visitor.kind == DOOR_RELAY)
		take_relay(broker, fd);
	else if (count == 1)
		client_add(broker, fd, visitor.pid);
	else if (visitor.kind == DOOR_ALONE)
		lock_packages(broker, SET_LOCK_ALL_RUNS);
	else if (visitor.kind == DOOR_MOVED || visitor.kind == DOOR_STOP)
		drain_begin(broker, visitor.kind == DOOR_STOP ? DRAIN_STOP : DRAIN_MOVED);
}

/* The first time that all is well, the door has to know: it may be waiting to accept workers. */
static void
tell_ready(struct broker *broker)
{
	const struct broker_notice notice = { .kind = BROKER_READY };
	struct proto_state state;

	health_state(broker, &state);
	if (!state.healthy)
		return;
	broker->was_ready = true;
	lock_packages(broker, SET_LOCK_USED);
	if (fdpass_send(broker->door.fd, &notice, sizeof notice, NULL, 0) != 0)
		log_warn("tell the door that all is ready: %s", strerror(errno));
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

/* Deadlines. Sets when to look again. */
static void
keep_time(struct broker *broker)
{
	uint64_t now_us = clock_us(), next_us;

	broker->loop.wake_us = NEVER_US;
	next_us = seccomp_notify_keep_time(broker, now_us);
	next_us = earlier_us(next_us, handed_socket_keep_time(broker, now_us));
	next_us = earlier_us(next_us, zygotes_keep_time(broker, now_us));
	for (uint32_t i = 0; i < broker->config->cells; i++)
		next_us = earlier_us(next_us, cell_run_check(broker, &broker->cell[i], now_us));
	next_us = earlier_us(next_us, run_queue_keep_time(broker, now_us));
	next_us = earlier_us(next_us, dispatch_keep_time(broker, now_us));
	next_us = earlier_us(next_us, drain_keep_time(broker, now_us));
	loop_wake_at(&broker->loop, next_us);
}

static int
timeout_ms(uint64_t wake_us)
{
	uint64_t now_us = clock_us();

	if (wake_us == NEVER_US)
		return -1;
	if (wake_us <= now_us)
		return 0;
	return wake_us - now_us > WAIT_MOST_US ? (int)(WAIT_MOST_US / 1000u) : (int)((wake_us - now_us + 999u) / 1000u);
}

/* The number of processors that this process may run on. */
static unsigned
allowed_processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static void
begin(struct broker *broker, int door_fd)
{
	sigset_t children;
	int child_fd;

	process_title_set("broker");
	log_never_wait();
	key_accounts_init(&broker->accounts);
	run_queue_init(broker);
	meter_begin(broker);
	broker->loop.wake_us = 0;
	broker->own_processors = allowed_processors();
	zygotes_wake_one(broker);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	child_fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	if (poller_open(&broker->loop.poller) != 0 || child_fd < 0 ||
	    loop_watch(&broker->loop, &broker->children, child_fd, children_ready) != 0 ||
	    loop_watch(&broker->loop, &broker->door, door_fd, door_ready) != 0 ||
	    (broker->handed_fd >= 0 && handed_socket_watch(broker, broker->handed_fd) != 0))
		die("the broker cannot wait for events: %s", strerror(errno));
}

void
serve(struct broker *broker, int door_fd)
{
	begin(broker, door_fd);
	for (;;) {
		if (clock_us() >= broker->loop.wake_us)
			keep_time(broker);
		while (broker->loop.want_dispatch) {
			broker->loop.want_dispatch = false;
			dispatch(broker);
			if (!broker->was_ready)
				tell_ready(broker);
		}
		if (broker->drain != DRAIN_NONE)
			drain_keep_time(broker, clock_us());
		if (poller_turn(&broker->loop.poller, timeout_ms(broker->loop.wake_us), broker) != 0)
			die("epoll_wait: %s", strerror(errno));
	}
}
