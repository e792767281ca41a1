/*
 * relay.c - see relay.h. Runs in a process of its own, on the host, with the runner's uid and no
 * other power.
 */
#define _GNU_SOURCE
#include "relay/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "autoconfig.h"
#include "clock.h"
#include "fdpass.h"
#include "kernel/poller.h"
#include "log.h"
#include "log_limit.h"
#include "relay/relay_conn.h"

#define CONNECT_LIMIT_US 10000000u /* for a proxy to accept a connection */
#define SECOND_US 1000000u
#define QUIET_US 10000000u /* between two log lines about the same proxy */

/* A cell that has a network. */
struct relay_cell {
	struct watch link;
	struct relay_socket listener; /* none before RELAY_LISTEN, and none at level chroot */
	uint32_t proxy;
	struct relay_conn *conns;
	uint32_t conn_count;
	int *waiting; /* level chroot: connections that are not carried yet, the oldest first */
	uint32_t waiting_count;
	uint32_t begun; /* connections since `second_us` */
	uint64_t second_us;
	bool is_over;
	struct relay_cell *next;
};

/* The last state of a proxy. */
struct proxy_state {
	bool is_down;
	uint64_t logged_us;
	uint64_t failures; /* since then */
};

static struct {
	const struct relay_config *config;
	struct poller poller;
	struct watch channel;
	struct relay_cell *cells;
	struct proxy_state proxy[CONFIG_MAX_PROXIES];
	uint64_t wake_us; /* when something is due; UINT64_MAX: nothing */
	struct log_limit accept_failed;
} relay;

static void
wake_at(uint64_t at_us)
{
	if (at_us < relay.wake_us)
		relay.wake_us = at_us;
}

/* ---- the log --------------------------------------------------------------------------------- */

/* A program may try as often as it likes: the log has one line for all failures of a while. */
static void
log_proxy(uint32_t index, int error)
{
	struct proxy_state *state = &relay.proxy[index];
	const struct proxy_config *proxy = &relay.config->config->proxy[index];
	uint64_t now = clock_us();

	if (error == 0) {
		if (state->is_down)
			log_info("proxy %s (%s) can be reached again", proxy->name, proxy->address);
		state->is_down = false;
		return;
	}
	state->failures++;
	if (state->is_down && now < state->logged_us + QUIET_US)
		return;
	log_warn("proxy %s (%s) cannot be reached: %s (%" PRIu64 " connections)", proxy->name, proxy->address, strerror(error),
	    state->failures);
	state->is_down = true;
	state->logged_us = now;
	state->failures = 0;
}

/* ---- connections ----------------------------------------------------------------------------- */

static watch_ready listener_ready;

/*
 * Whether a cell may have one more connection: it has not as many as it may have, nor has it begun
 * as many as it may in a second. Sees to it that it is looked at again.
 */
static bool
may_begin(const struct relay_cell *cell)
{
	uint32_t most = relay.config->config->connections;

	if (cell->begun >= most)
		wake_at(cell->second_us + SECOND_US);
	return cell->begun < most && cell->conn_count < most;
}

/* Accept from the cell, unless it has to wait. */
static void
set_accepting(struct relay_cell *cell)
{
	if (cell->listener.fd < 0)
		return;
	if (relay_socket_wait(&relay.poller, &cell->listener, may_begin(cell) ? EPOLLIN : 0, listener_ready) != 0)
		log_warn("wait for a cell's connections: %s", strerror(errno));
}

/* Free connections that are over. */
static void
sweep(struct relay_cell *cell)
{
	struct relay_conn **link = &cell->conns;

	while (*link != NULL) {
		struct relay_conn *conn = *link;

		if (!conn->is_over && !cell->is_over) {
			link = &conn->next;
			continue;
		}
		*link = conn->next;
		cell->conn_count--;
		relay_conn_free(conn);
	}
}

/* After something was done with a connection: log news of its proxy. */
static void
conn_changed(struct relay_conn *conn, bool was_connecting)
{
	const struct relay_cell *cell = conn->owner;

	if (was_connecting && conn->deadline_us == 0 && (conn->error != 0 || !conn->is_over))
		log_proxy(cell->proxy, conn->error);
}

/*
 * Count a connection that begins, or one that fails: a failure that lasts must not keep the relay
 * busy.
 */
static void
count(struct relay_cell *cell, uint64_t now)
{
	if (now >= cell->second_us + SECOND_US) {
		cell->second_us = now;
		cell->begun = 0;
	}
	cell->begun++;
}

/* Connect one side of a connection, which the relay owns from now on, to the cell's proxy. */
static void
carry(struct relay_cell *cell, int fd, uint64_t now)
{
	const struct relay_config *config = relay.config;
	struct relay_conn *conn = relay_conn_new(&relay.poller, fd, (const struct sockaddr *)&config->address[cell->proxy],
	    config->address_size[cell->proxy], now + CONNECT_LIMIT_US, conn_changed, cell);

	if (conn == NULL)
		return;
	conn->next = cell->conns;
	cell->conns = conn;
	cell->conn_count++;
	conn_changed(conn, true);
	wake_at(now + CONNECT_LIMIT_US);
}

/* Accept one connection; other cells have their turn before the next one. */
static void
listener_ready(void *context, struct watch *watch, uint32_t events)
{
	struct relay_cell *cell = watch_owner(watch, struct relay_cell, listener.watch);
	uint64_t now = clock_us();
	int fd;

	(void)context;
	(void)events;
	fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	count(cell, now);
	if (fd >= 0)
		carry(cell, fd, now);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
		log_limit_warn(&relay.accept_failed, "accept a cell's connection: %s", strerror(errno));
	set_accepting(cell);
}

/* Close a socket by a reset. */
static void
reset(int fd)
{
	struct relay_socket socket = RELAY_SOCKET(fd);

	relay_socket_close(&relay.poller, &socket, true);
}

/* Begin with connections that wait, as far as the cell may have them. */
static void
carry_waiting(struct relay_cell *cell)
{
	uint32_t begun = 0;

	while (begun < cell->waiting_count && may_begin(cell)) {
		uint64_t now = clock_us();

		count(cell, now);
		carry(cell, cell->waiting[begun++], now);
	}
	cell->waiting_count -= begun;
	if (begun > 0)
		memmove(cell->waiting, cell->waiting + begun, cell->waiting_count * sizeof *cell->waiting);
}

/* Take on a connection of the cell. One that there is no room for is closed. */
static void
take_connection(struct relay_cell *cell, int fd)
{
	if (cell->waiting == NULL)
		cell->waiting = calloc(RELAY_WAITING_MAX, sizeof *cell->waiting);
	if (cell->waiting == NULL || cell->waiting_count == RELAY_WAITING_MAX) {
		reset(fd);
		return;
	}
	cell->waiting[cell->waiting_count++] = fd;
	carry_waiting(cell);
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* An order of the broker; or the cell has ended. */
static void
link_ready(void *context, struct watch *watch, uint32_t events)
{
	struct relay_cell *cell = watch_owner(watch, struct relay_cell, link);
	struct relay_order order;
	size_t descriptors = 0;
	int fd = -1;
	ssize_t n;

	(void)context;
	(void)events;
	n = fdpass_recv(watch->fd, &order, sizeof order, &fd, 1, &descriptors, NULL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == (ssize_t)sizeof order && descriptors == 1 && order.proxy < relay.config->config->proxy_count) {
		cell->proxy = order.proxy;
		if (order.kind == RELAY_LISTEN && cell->listener.fd < 0) {
			cell->listener.fd = fd;
			set_accepting(cell);
			return;
		}
		if (order.kind == RELAY_CARRY) {
			take_connection(cell, fd);
			return;
		}
	}
	fdpass_close(&fd, descriptors);
	cell->is_over = true;
}

static void
channel_ready(void *context, struct watch *watch, uint32_t events)
{
	struct relay_cell *cell;
	size_t count = 0;
	char byte;
	int fd = -1;
	ssize_t n = fdpass_recv(watch->fd, &byte, sizeof byte, &fd, 1, &count, NULL);

	(void)context;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		_exit(0); /* the broker has ended, and every cell with it */
	if (count == 0)
		return;
	cell = calloc(1, sizeof *cell);
	if (cell != NULL)
		*cell = (struct relay_cell){ .link = { .fd = -1 }, .listener = RELAY_SOCKET(-1), .next = relay.cells };
	if (cell == NULL || poller_add(&relay.poller, &cell->link, fd, EPOLLIN, link_ready) != 0) {
		log_warn("take on a cell: %s", strerror(errno));
		close(fd);
		free(cell);
		return;
	}
	relay.cells = cell;
}

/*
 * Free cells and connections that have ended. Called after a turn, since events of that turn may
 * still belong to them.
 */
static void
clean_up(void)
{
	struct relay_cell **link = &relay.cells;

	while (*link != NULL) {
		struct relay_cell *cell = *link;

		sweep(cell);
		if (!cell->is_over) {
			set_accepting(cell);
			carry_waiting(cell);
			link = &cell->next;
			continue;
		}
		*link = cell->next;
		relay_socket_close(&relay.poller, &cell->listener, false);
		for (uint32_t i = 0; i < cell->waiting_count; i++)
			reset(cell->waiting[i]);
		free(cell->waiting);
		poller_close(&relay.poller, &cell->link);
		free(cell);
	}
}

/* Handle deadlines: proxies that did not answer, and cells that may begin connections again. */
static void
keep_time(uint64_t now)
{
	relay.wake_us = UINT64_MAX;
	for (struct relay_cell *cell = relay.cells; cell != NULL; cell = cell->next) {
		for (struct relay_conn *conn = cell->conns; conn != NULL; conn = conn->next) {
			if (conn->deadline_us == 0)
				continue;
			if (now >= conn->deadline_us) {
				relay_conn_expire(conn);
				conn_changed(conn, true);
			} else {
				wake_at(conn->deadline_us);
			}
		}
		if (cell->begun > 0 && now >= cell->second_us + SECOND_US)
			cell->begun = 0;
	}
}

/* ---- the process ----------------------------------------------------------------------------- */

static void
limit(int resource, rlim_t most)
{
	const struct rlimit both = { most, most };

	if (setrlimit((__rlimit_resource_t)resource, &both) != 0)
		die("relay: set rlimit %d: %s", resource, strerror(errno));
}

size_t
relay_rules(const struct relay_config *config, struct landlock_rule *rules)
{
	for (size_t i = 0; i < config->config->proxy_count; i++) {
		const struct sockaddr_storage *address = &config->address[i];

		/* Both kinds of address have the port in the same place. */
		rules[i] = (struct landlock_rule){ .port = ntohs(((const struct sockaddr_in *)address)->sin_port) };
	}
	return config->config->proxy_count;
}

static void
wall_in(const struct relay_config *config)
{
	const struct bpf *policy = &config->policy->base[0];
	struct sock_fprog filter = { .len = (unsigned short)policy->count, .filter = policy->code };
	struct landlock_rule rules[CONFIG_MAX_PROXIES];

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		die("relay: no_new_privs is not set, or it can be looked into: %s", strerror(errno));
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NPROC, 0);
	if (config->landlock_abi != 0 && landlock_enter(config->landlock_abi, 0, rules, relay_rules(config, rules)) != 0)
		die("relay: Landlock: %s", strerror(errno));
#ifdef CELLBLOCK_SANITIZERS
	log_warn("relay: no seccomp, because this program is built with sanitizers (%u instructions)", (unsigned)filter.len);
#else
	if (filter.len == 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
		die("relay: load its policy: %s", strerror(errno));
#endif
}

static int
timeout_ms(void)
{
	uint64_t now = clock_us();

	if (relay.wake_us == UINT64_MAX)
		return -1;
	return relay.wake_us <= now ? 0 : (int)((relay.wake_us - now + 999u) / 1000u);
}

void
relay_main(const struct relay_config *config, int channel_fd)
{
	relay.config = config;
	relay.wake_us = UINT64_MAX;
	relay.channel = (struct watch){ .fd = -1 };
	if (poller_open(&relay.poller) != 0 || poller_add(&relay.poller, &relay.channel, channel_fd, EPOLLIN, channel_ready) != 0)
		die("relay: wait for events: %s", strerror(errno));
	tzset(); /* libc would open the file of the time zone at the first log line */
	wall_in(config);
	for (;;) {
		if (poller_turn(&relay.poller, timeout_ms(), NULL) != 0)
			die("relay: epoll_wait: %s", strerror(errno));
		if (clock_us() >= relay.wake_us)
			keep_time(clock_us());
		clean_up();
	}
}
