/* relay.c - see relay.h. A process of its own, on the host, with the runner's uid and nothing else. */
#define _GNU_SOURCE
#include "relay/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "autoconfig.h"
#include "fdpass.h"
#include "log.h"
#include "relay/relay_conn.h"

#define EVENTS_AT_ONCE 64
#define CONNECT_LIMIT_US 10000000u /* for a proxy to take a connection */
#define SECOND_US 1000000u
#define QUIET_US 10000000u         /* between two lines of the log about the same proxy */

/* A cell that has a network. */
struct relay_cell {
	struct watch link;
	struct watch listener; /* -1 until the warden has sent it */
	bool is_started;
	uint32_t proxy;
	struct relay_conn *pumps;
	uint32_t pump_count;
	uint32_t begun;     /* connections since `second_us` */
	uint64_t second_us;
	bool is_over;
	struct relay_cell *next;
};

/* How it was with a proxy lately. */
struct proxy_state {
	bool is_down;
	uint64_t told_us;
	uint64_t failures; /* since then */
};

static struct {
	const struct relay_config *config;
	int epoll_fd;
	struct watch channel;
	struct relay_cell *cells;
	struct proxy_state proxy[CONFIG_MAX_PROXIES];
	uint64_t wake_us; /* when something is due; UINT64_MAX: nothing */
} relay;

#define owner_of(watch, type, member) ((type *)(void *)((char *)(watch) - offsetof(type, member)))

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void
wake_at(uint64_t at_us)
{
	if (at_us < relay.wake_us)
		relay.wake_us = at_us;
}

/* ---- what is said of proxies ------------------------------------------------------------------------------------ */

/* A program may try as often as it likes: the log has one line for all that fails in a while. */
static void
tell_of_proxy(uint32_t index, int error)
{
	struct proxy_state *state = &relay.proxy[index];
	const struct proxy_config *proxy = &relay.config->config->proxy[index];
	uint64_t now = now_us();

	if (error == 0) {
		if (state->is_down)
			log_info("proxy %s (%s) can be reached again", proxy->name, proxy->address);
		state->is_down = false;
		return;
	}
	state->failures++;
	if (state->is_down && now < state->told_us + QUIET_US)
		return;
	log_warn("proxy %s (%s) cannot be reached: %s (%" PRIu64 " connections)", proxy->name, proxy->address, strerror(error),
	    state->failures);
	state->is_down = true;
	state->told_us = now;
	state->failures = 0;
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

/* Accept from the cell, unless it has as many connections as it may have, or has begun as many as it may in a second. */
static void
set_accepting(struct relay_cell *cell)
{
	uint32_t most = relay.config->config->connections;
	bool is_resting = cell->begun >= most;

	if (!cell->is_started || cell->listener.fd < 0)
		return;
	if (is_resting)
		wake_at(cell->second_us + SECOND_US);
	if (watch_for(relay.epoll_fd, &cell->listener, !is_resting && cell->pump_count < most ? EPOLLIN : 0) != 0)
		log_warn("wait for a cell's connections: %s", strerror(errno));
}

/* Let go of connections that are over. */
static void
sweep(struct relay_cell *cell)
{
	struct relay_conn **link = &cell->pumps;

	while (*link != NULL) {
		struct relay_conn *pump = *link;

		if (!pump->is_over && !cell->is_over) {
			link = &pump->next;
			continue;
		}
		*link = pump->next;
		cell->pump_count--;
		relay_conn_free(pump);
	}
}

/* After anything was done with a connection: is there news of its proxy? */
static void
take_news(struct relay_cell *cell, const struct relay_conn *pump, bool was_connecting)
{
	if (was_connecting && pump->deadline_us == 0 && (pump->error != 0 || !pump->is_over))
		tell_of_proxy(cell->proxy, pump->error);
}

static void
side_ready(struct relay_conn *pump, struct watch *watch, uint32_t events)
{
	bool was_connecting = pump->deadline_us != 0;

	relay_conn_ready(relay.epoll_fd, pump, watch, events);
	take_news(pump->owner, pump, was_connecting);
}

static void
guest_ready(struct watch *watch, uint32_t events)
{
	side_ready(owner_of(watch, struct relay_conn, side[PUMP_GUEST].watch), watch, events);
}

static void
proxy_ready(struct watch *watch, uint32_t events)
{
	side_ready(owner_of(watch, struct relay_conn, side[PUMP_PROXY].watch), watch, events);
}

/* One at a time: other cells have their turn in between. */
static void
listener_ready(struct watch *watch, uint32_t events)
{
	struct relay_cell *cell = owner_of(watch, struct relay_cell, listener);
	const struct relay_config *config = relay.config;
	uint64_t now = now_us();
	struct relay_conn *pump;
	int fd;

	(void)events;
	if (watch->fd < 0)
		return;
	fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (now >= cell->second_us + SECOND_US) {
		cell->second_us = now;
		cell->begun = 0;
	}
	/* What fails counts too: a failure that lasts must not keep us busy. */
	cell->begun++;
	if (fd >= 0) {
		pump = relay_conn_new(relay.epoll_fd, fd, (const struct sockaddr *)&config->address[cell->proxy],
		    config->address_size[cell->proxy], now + CONNECT_LIMIT_US, cell);
		if (pump != NULL) {
			pump->side[PUMP_GUEST].watch.ready = guest_ready;
			pump->side[PUMP_PROXY].watch.ready = proxy_ready;
			pump->next = cell->pumps;
			cell->pumps = pump;
			cell->pump_count++;
			take_news(cell, pump, true);
			wake_at(now + CONNECT_LIMIT_US);
		}
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		log_warn("accept a cell's connection: %s", strerror(errno));
	}
	set_accepting(cell);
}

/* ---- cells ------------------------------------------------------------------------------------------------------ */

/* The listener from the warden, the start from the broker, or the end. */
static void
link_ready(struct watch *watch, uint32_t events)
{
	struct relay_cell *cell = owner_of(watch, struct relay_cell, link);
	struct relay_start start;
	size_t count = 0;
	int fd = -1;
	ssize_t n;

	(void)events;
	if (watch->fd < 0)
		return;
	n = fdpass_recv(watch->fd, &start, sizeof start, &fd, 1, &count, NULL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == (ssize_t)sizeof start && count == 1 && cell->listener.fd < 0) {
		cell->listener.fd = fd;
		return;
	}
	fdpass_close(&fd, count);
	if (n == (ssize_t)sizeof start && count == 0 && !cell->is_started && cell->listener.fd >= 0 &&
	    start.proxy < relay.config->config->proxy_count) {
		cell->is_started = true;
		cell->proxy = start.proxy;
		set_accepting(cell);
		return;
	}
	cell->is_over = true;
}

static void
channel_ready(struct watch *watch, uint32_t events)
{
	struct relay_cell *cell;
	size_t count = 0;
	char byte;
	int fd = -1;
	ssize_t n = fdpass_recv(watch->fd, &byte, sizeof byte, &fd, 1, &count, NULL);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		_exit(0); /* the broker has gone, and every cell with it */
	if (count == 0)
		return;
	cell = calloc(1, sizeof *cell);
	if (cell != NULL)
		*cell = (struct relay_cell){ .link = { .fd = fd, .ready = link_ready },
			.listener = { .fd = -1, .ready = listener_ready }, .next = relay.cells };
	if (cell == NULL || watch_for(relay.epoll_fd, &cell->link, EPOLLIN) != 0) {
		log_warn("take on a cell: %s", strerror(errno));
		close(fd);
		free(cell);
		return;
	}
	relay.cells = cell;
}

/* Let go of what an event has brought to its end: not before all events of a batch have been looked at. */
static void
clean_up(void)
{
	struct relay_cell **link = &relay.cells;

	while (*link != NULL) {
		struct relay_cell *cell = *link;

		sweep(cell);
		if (!cell->is_over) {
			set_accepting(cell);
			link = &cell->next;
			continue;
		}
		*link = cell->next;
		watch_close(&cell->listener, true);
		watch_close(&cell->link, false);
		free(cell);
	}
}

/* What is due: proxies that did not answer, and cells that may begin connections again. */
static void
keep_time(uint64_t now)
{
	relay.wake_us = UINT64_MAX;
	for (struct relay_cell *cell = relay.cells; cell != NULL; cell = cell->next) {
		for (struct relay_conn *pump = cell->pumps; pump != NULL; pump = pump->next) {
			if (pump->deadline_us == 0)
				continue;
			if (now >= pump->deadline_us) {
				relay_conn_expire(relay.epoll_fd, pump);
				take_news(cell, pump, true);
			} else {
				wake_at(pump->deadline_us);
			}
		}
		if (cell->begun > 0 && now >= cell->second_us + SECOND_US)
			cell->begun = 0;
	}
}

/* ---- the process ------------------------------------------------------------------------------------------------ */

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
	uint64_t now = now_us();

	if (relay.wake_us == UINT64_MAX)
		return -1;
	return relay.wake_us <= now ? 0 : (int)((relay.wake_us - now + 999u) / 1000u);
}

void
relay_main(const struct relay_config *config, int channel_fd)
{
	relay.config = config;
	relay.wake_us = UINT64_MAX;
	relay.channel = (struct watch){ .fd = channel_fd, .ready = channel_ready };
	relay.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (relay.epoll_fd < 0 || watch_for(relay.epoll_fd, &relay.channel, EPOLLIN) != 0)
		die("relay: wait for events: %s", strerror(errno));
	tzset(); /* a line of the log has the time, and libc would look for the zone at the first */
	wall_in(config);
	for (;;) {
		struct epoll_event events[EVENTS_AT_ONCE];
		int count = epoll_wait(relay.epoll_fd, events, EVENTS_AT_ONCE, timeout_ms());

		if (count < 0 && errno != EINTR)
			die("relay: epoll_wait: %s", strerror(errno));
		for (int i = 0; i < count; i++) {
			struct watch *watch = events[i].data.ptr;

			watch->ready(watch, events[i].events);
		}
		if (now_us() >= relay.wake_us)
			keep_time(now_us());
		clean_up();
	}
}
