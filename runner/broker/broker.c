/* broker.c - see broker.h. Pid 1 of the runner's pid namespace, root of its user namespace, nobody on the host. */
#define _GNU_SOURCE
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/cell.h"
#include "broker/spawn.h"
#include "broker/client.h"
#include "clock.h"
#include "broker/seccomp_notify.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"
#include "broker/selftest.h"

#define EVENTS_AT_ONCE 64
#define RETRY_FIRST_US 20000u
#define RETRY_MOST_US 5000000u

void
broker_wake_at(struct broker *broker, uint64_t at_us)
{
	if (at_us < broker->wake_us)
		broker->wake_us = at_us;
}

/* ---- who runs where --------------------------------------------------------------------------------------------- */

static struct cell *
free_cell(struct broker *broker)
{
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		if (broker->cell[i].state == CELL_FREE)
			return &broker->cell[i];
	}
	return NULL;
}

/*
 * When every cell is taken: an armed one of a set that nobody waits for, so that a set that is waited for gets it. Of the
 * languages that are only there when they are used, that which was not used for the longest time comes first.
 */
static struct cell *
spare_cell(struct broker *broker)
{
	struct cell *found = NULL;
	uint64_t least = UINT64_MAX;

	for (size_t l = 0; l < broker->language_count; l++) {
		const struct language *language = &broker->language[l];
		uint64_t used_us = language->config->idle_s != 0 ? language->used_us : UINT64_MAX - 1;

		for (size_t w = 0; w < LANGUAGE_POOLS; w++) {
			const struct pool *pool = &language->pool[w];

			if (pool->queued == 0 && pool->armed != NULL && used_us < least) {
				found = pool->armed;
				least = used_us;
			}
		}
	}
	return found;
}

/*
 * Arm what a set wants: one for each run that waits, and with `ahead` its ready ones too. Returns whether a cell was
 * missing for a run.
 */
static bool
replenish(struct broker *broker, struct language *language, uint32_t number, bool ahead)
{
	struct pool *pool = &language->pool[number];
	uint32_t wanted = pool->queued + (ahead ? language_armed(language, number) : 0);

	if (!language->is_awake || language_rests(pool))
		return false;
	while (pool->armed_count + pool->arming_count < wanted) {
		struct cell *cell = free_cell(broker);

		if (cell == NULL)
			return pool->queued > pool->arming_count;
		if (cell_arm(broker, cell, language, number) != 0)
			return false;
	}
	return false;
}

/* Have zygotes that are new tried. Returns whether a cell was missing for one. */
static bool
test_zygotes(struct broker *broker, struct language *language)
{
	for (size_t z = 0; language->is_awake && z < language->zygote_count; z++) {
		struct zygote *zygote = &language->zygote[z];
		struct cell *cell;

		if (zygote->pid == 0 || zygote->is_proved || language_rests(&language->pool[zygote->pool]))
			continue;
		if (!zygote->is_in_test && clock_us() >= zygote->test_us) {
			cell = free_cell(broker);
			if (cell == NULL)
				return true;
			if (selftest_arm(broker, cell, zygote) != 0)
				return false;
		}
		/* The others have less to pass when one has passed all. */
		if (!language->is_proved)
			break;
	}
	return false;
}

void
broker_dispatch(struct broker *broker)
{
	struct client *client = broker->queue;
	bool short_of_cells = false;

	if (layers_broken(&broker->layers) != NULL)
		return;

	while (client != NULL) {
		struct client *next = client->next_queued;
		struct pool *pool = &broker->language[client->request.index].pool[client->pool];

		if (pool->armed != NULL) {
			client_dequeue(broker, client);
			cell_start_run(broker, pool->armed, client);
		}
		client = next;
	}
	for (size_t l = 0; l < broker->language_count; l++)
		short_of_cells = test_zygotes(broker, &broker->language[l]) || short_of_cells;
	/* Runs that wait come first: a cell that was given up for one must not go back to where it came from. */
	for (int ahead = 0; ahead <= 1 && !short_of_cells; ahead++) {
		for (size_t l = 0; l < broker->language_count; l++) {
			for (uint32_t w = 0; broker->language[l].is_awake && w < LANGUAGE_POOLS; w++)
				short_of_cells = replenish(broker, &broker->language[l], w, ahead != 0) || short_of_cells;
		}
	}
	if (short_of_cells) {
		struct cell *spare = spare_cell(broker);

		if (spare != NULL)
			cell_give_up(broker, spare);
	}
}

void
broker_give_up(struct broker *broker, const struct pool *pool)
{
	struct client *client = broker->queue;

	while (client != NULL) {
		struct client *next = client->next_queued;

		if (&broker->language[client->request.index].pool[client->pool] == pool) {
			client_dequeue(broker, client);
			client_refuse(client, REFUSED_FAULT);
		}
		client = next;
	}
}

/* ---- wardens and zygotes ---------------------------------------------------------------------------------------- */

static uint64_t
backoff_us(unsigned failures)
{
	uint64_t wait_us = (uint64_t)RETRY_FIRST_US << (failures < 8 ? failures : 8);

	return wait_us < RETRY_MOST_US ? wait_us : RETRY_MOST_US;
}

/* The language is not to be had as it was meant to be, but it is to be had. */
static void
fall_back(struct language *language)
{
	log_warn("%s: programs are run by interpreters that are started ahead, one for each: %s", language->config->name,
	    language->reason);
	language->start = START_SPARE;
	memcpy(language->shortfall, language->reason, sizeof language->shortfall);
	language->reason[0] = '\0';
}

/* One that was to serve did not come up. */
static void
zygote_failed(struct broker *broker, struct zygote *zygote)
{
	struct language *language = zygote->language;

	event_close(broker, &zygote->report);
	if (language->start == START_ZYGOTE && language->config->run.count > 0 && !language_serves(language))
		fall_back(language);
	zygote->starting_pid = 0;
	zygote->retry_us = clock_us() + backoff_us(zygote->failures++);
	broker_wake_at(broker, zygote->retry_us);
}

static void
zygote_died(struct broker *broker, struct zygote *zygote, int wait_status)
{
	log_warn("%s: a zygote died (wait status 0x%x); another is started", zygote->language->config->name,
	    (unsigned)wait_status);
	zygote->pid = 0;
	zygote->is_proved = false;
	broker_wake_at(broker, 0);
}

void
broker_zygote_reported(struct broker *broker, struct event *event, uint32_t events)
{
	struct zygote *zygote = event_owner(event, struct zygote, report);
	struct language *language = zygote->language;
	struct warden_request order = { .kind = WARDEN_ZYGOTE, .zygote = zygote->number };
	struct zygote_report report = { .error = 1 };
	size_t count;
	int listener_fd = -1;
	ssize_t n = fdpass_recv(event->fd, &report, sizeof report, &listener_fd, 1, &count, NULL);

	(void)events;
	if (count == 1)
		seccomp_notify_listen(broker, listener_fd);
	report.text[sizeof report.text - 1] = '\0';
	report.version[sizeof report.version - 1] = '\0';
	if (n != (ssize_t)sizeof report || report.error != 0) {
		const char *why = n == (ssize_t)sizeof report ? report.text :
		    "its interpreter ended at its start; the log may say more";

		log_warn("%s: a zygote could not start: %s", language->config->name, why);
		if (!language_serves(language))
			snprintf(language->reason, sizeof language->reason, "%s", why);
		event_close(broker, event);
		return; /* its exit comes next, and with it another try */
	}
	if (language->warden.sock < 0 || fdpass_send(language->warden.sock, &order, sizeof order, &event->fd, 1) != 0) {
		/* It ends when its socket closes. */
		event_close(broker, event);
		return;
	}
	/* The warden lets go of the one before, which ends when it has carried out its last orders. */
	event_close(broker, event);
	zygote->pid = zygote->starting_pid;
	zygote->starting_pid = 0;
	zygote->forks = 0;
	zygote->failures = 0;
	zygote->is_proved = false;
	zygote->test_part = 0;
	language->reason[0] = '\0';
	if (report.version[0] != '\0')
		memcpy(language->version, report.version, sizeof language->version);
	broker_dispatch(broker);
}

static void
warden_died(struct broker *broker, struct language *language, int wait_status)
{
	log_warn("%s: the warden died (wait status 0x%x); another is started", language->config->name,
	    (unsigned)wait_status);
	close(language->warden.sock);
	language->warden.sock = -1;
	language->warden.pid = 0;
	language->warden.retry_us = clock_us() + (broker->config->level == LEVEL_CHROOT ? RETRY_MOST_US : RETRY_FIRST_US);
	broker_wake_at(broker, language->warden.retry_us);
	/* Nobody has orders for its zygotes any more. They need not see that: an init that it had only just made may not have died with
	 * it, and keeps open what it had open. */
	for (size_t i = 0; i < language->zygote_count; i++) {
		if (language->zygote[i].pid != 0)
			kill(language->zygote[i].pid, SIGKILL);
	}
}

/* Start what is down and due; replace a zygote that has served its number of runs. Returns when to look again. */
static uint64_t
mend_language(struct broker *broker, struct language *language, uint64_t now_us)
{
	uint64_t next_us = UINT64_MAX;

	if (!language->is_awake)
		return UINT64_MAX;
	if (language->warden.sock < 0) {
		if (now_us < language->warden.retry_us || spawn_warden(broker, language) != 0)
			return now_us < language->warden.retry_us ? language->warden.retry_us : now_us + RETRY_MOST_US;
	}
	for (size_t w = 0; w < LANGUAGE_POOLS; w++) {
		uint64_t retry_us = language->pool[w].retry_us;

		if (retry_us > now_us && retry_us < next_us)
			next_us = retry_us;
	}
	for (size_t i = 0; i < language->zygote_count; i++) {
		struct zygote *zygote = &language->zygote[i];

		bool wanted = language->pool[zygote->pool].is_wanted &&
		    (zygote->pid == 0 || zygote->forks >= language->config->recycle_runs);
		uint64_t at_us = UINT64_MAX;

		if (zygote->starting_pid != 0 && now_us >= zygote->deadline_us) {
			log_warn("%s: a zygote did not start in time", language->config->name);
			kill(zygote->starting_pid, SIGKILL);
			zygote->deadline_us = UINT64_MAX;
		}
		if (zygote->starting_pid == 0 && wanted && now_us >= zygote->retry_us &&
		    spawn_zygote(broker, zygote) != 0)
			zygote_failed(broker, zygote);
		if (zygote->starting_pid != 0)
			at_us = zygote->deadline_us;
		else if (zygote->pid != 0 && !zygote->is_proved && now_us < zygote->test_us)
			at_us = zygote->test_us;
		else if (wanted)
			at_us = zygote->retry_us;
		next_us = at_us < next_us ? at_us : next_us;
	}
	return next_us;
}

/* Is there anything of the language that has to come to its end first? */
static bool
is_busy(const struct broker *broker, const struct language *language)
{
	for (size_t z = 0; z < language->zygote_count; z++) {
		if (language->zygote[z].starting_pid != 0)
			return true;
	}
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		const struct cell *cell = &broker->cell[i];

		if (cell->language == language && cell->state != CELL_FREE && cell->state != CELL_ARMED)
			return true;
	}
	for (const struct client *client = broker->queue; client != NULL; client = client->next_queued) {
		if (&broker->language[client->request.index] == language)
			return true;
	}
	return false;
}

/* A language that nobody has used for its time is let go. Returns when to look again. */
static uint64_t
rest_language(struct broker *broker, struct language *language, uint64_t now_us)
{
	uint64_t idle_us = language->config->idle_s * 1000000u;

	if (!language->is_awake || idle_us == 0)
		return UINT64_MAX;
	if (now_us < language->used_us + idle_us)
		return language->used_us + idle_us;
	if (is_busy(broker, language))
		return now_us + RETRY_MOST_US;
	for (uint32_t w = 0; w < LANGUAGE_POOLS; w++) {
		while (language->pool[w].armed != NULL)
			cell_give_up(broker, language->pool[w].armed);
	}
	language_sleep(language);
	return UINT64_MAX;
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

/* Find whose process it was, and tell him. */
static void
child_exited(struct broker *broker, pid_t pid, int wait_status, const struct rusage *usage)
{
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		if (broker->cell[i].guest_pid == pid) {
			cell_guest_exited(broker, &broker->cell[i], wait_status, usage);
			return;
		}
	}
	for (size_t l = 0; l < broker->language_count; l++) {
		struct language *language = &broker->language[l];

		if (language->warden.pid == pid) {
			warden_died(broker, language, wait_status);
			return;
		}
		for (size_t z = 0; z < language->zygote_count; z++) {
			if (language->zygote[z].pid == pid) {
				zygote_died(broker, &language->zygote[z], wait_status);
				return;
			}
			if (language->zygote[z].starting_pid == pid) {
				zygote_failed(broker, &language->zygote[z]);
				return;
			}
		}
	}
	/* Else a zygote that was replaced, a guest that died before it could report, or an init whose warden died: we are
	 * pid 1, and it came to us. */
}

static void
children_ready(struct broker *broker, struct event *event, uint32_t events)
{
	struct signalfd_siginfo info;
	struct rusage usage;
	int wait_status;
	pid_t pid;

	(void)events;
	/* One signal may stand for many deaths. */
	if (read(event->fd, &info, sizeof info) < 0 && errno != EAGAIN)
		log_warn("read the signal descriptor: %s", strerror(errno));
	while ((pid = wait4(-1, &wait_status, WNOHANG, &usage)) > 0)
		child_exited(broker, pid, wait_status, &usage);
	broker_dispatch(broker);
}

/* The relay has died. What cells had of it is gone: those that wait for a run have no network any more. */
static void
relay_gone(struct broker *broker, struct event *event, uint32_t events)
{
	(void)events;
	event_close(broker, event);
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		if (broker->cell[i].state == CELL_ARMED && broker->cell[i].link_fd >= 0)
			cell_give_up(broker, &broker->cell[i]);
	}
	broker_dispatch(broker);
}

static void
take_relay(struct broker *broker, int fd)
{
	if (broker->relay.fd >= 0)
		relay_gone(broker, &broker->relay, 0);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || event_add(broker, &broker->relay, fd, relay_gone) != 0) {
		log_warn("take on the relay: %s", strerror(errno));
		close(fd);
	}
	broker_dispatch(broker);
}

/* A connection that the door has let in, or the relay; or the door has gone, and with it we. */
static void
door_ready(struct broker *broker, struct event *event, uint32_t events)
{
	struct door_visitor visitor;
	int fd = -1;
	size_t count;
	ssize_t n = fdpass_recv(event->fd, &visitor, sizeof visitor, &fd, 1, &count, NULL);

	(void)events;
	if (n <= 0) {
		log_info("ending, with every cell");
		_exit(0);
	}
	if (count == 1 && visitor.kind == DOOR_RELAY)
		take_relay(broker, fd);
	else if (count == 1)
		client_add(broker, fd, visitor.pid);
}

/* Deadlines. Sets when to look again. */
static void
keep_time(struct broker *broker)
{
	uint64_t now_us = clock_us();
	uint64_t next_us = UINT64_MAX;
	uint64_t at_us;

	broker->wake_us = UINT64_MAX;
	next_us = seccomp_notify_keep_time(broker, now_us);
	for (size_t l = 0; l < broker->language_count; l++) {
		at_us = mend_language(broker, &broker->language[l], now_us);
		next_us = at_us < next_us ? at_us : next_us;
		at_us = rest_language(broker, &broker->language[l], now_us);
		next_us = at_us < next_us ? at_us : next_us;
	}
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		at_us = cell_check(broker, &broker->cell[i], now_us);
		next_us = at_us < next_us ? at_us : next_us;
	}
	while (broker->queue != NULL && now_us >= broker->queue->queued_us + broker->config->queue_ms * 1000) {
		struct client *client = broker->queue;

		client_dequeue(broker, client);
		client_refuse(client, REFUSED_BUSY);
	}
	if (broker->queue != NULL) {
		at_us = broker->queue->queued_us + broker->config->queue_ms * 1000;
		next_us = at_us < next_us ? at_us : next_us;
	}
	broker_wake_at(broker, next_us);
	broker_dispatch(broker);
}

static int
timeout_ms(uint64_t wake_us)
{
	uint64_t now_us = clock_us();

	if (wake_us == UINT64_MAX)
		return -1;
	if (wake_us <= now_us)
		return 0;
	return wake_us - now_us > 60000000u ? 60000 : (int)((wake_us - now_us + 999u) / 1000u);
}

void
broker_state(const struct broker *broker, struct proto_state *state)
{
	const struct proto_layer *missing = layers_missing(&broker->layers);
	const struct proto_layer *broken = layers_broken(&broker->layers);

	*state = (struct proto_state){ .running = broker->running, .queued = broker->queued };
	for (size_t l = 0; l < broker->language_count; l++) {
		const struct language *language = &broker->language[l];
		bool ready = language_serves(language);

		for (uint32_t w = 0; w < LANGUAGE_POOLS; w++) {
			const struct pool *pool = &language->pool[w];

			state->armed += pool->armed_count;
			if (pool->failures > POOL_FAILURES_SAID && pool->armed_count < language_armed(language, w) + pool->queued)
				memcpy(state->reason, broker->trouble, sizeof state->reason);
		}
		if (language->is_awake && !ready && state->reason[0] == '\0')
			snprintf(state->reason, sizeof state->reason, "%.32s: %.140s", language->config->name,
			    language->reason[0] != '\0' ? language->reason : "no zygote serves yet");
	}
	if (broker->config->network == NETWORK_PROXY && broker->relay.fd < 0)
		snprintf(state->reason, sizeof state->reason, "the relay to the proxies is down");
	if (broken != NULL)
		snprintf(state->reason, sizeof state->reason, "layer %s is required and not in force: %.120s", broken->name, broken->detail);
	else if (missing != NULL && state->reason[0] == '\0')
		snprintf(state->reason, sizeof state->reason, "layer %s is required and not proved to be in force yet", missing->name);
	state->healthy = state->reason[0] == '\0';
}

/* If every language sleeps, one is woken, so that the walls are proved before somebody asks for them. */
static void
wake_one(struct broker *broker)
{
	struct language *first = NULL;

	for (size_t l = 0; l < broker->language_count; l++) {
		struct language *language = &broker->language[l];

		if (language->is_awake)
			return;
		if (first == NULL && !language->is_missing)
			first = language;
	}
	if (first != NULL)
		language_wake(broker, first, language_pool(first, 0, 0, 0));
}

int
broker_serve(struct broker *broker, int door_fd)
{
	sigset_t children;
	int child_fd;

	broker->queue_tail = &broker->queue;
	broker->wake_us = 0;
	wake_one(broker);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	broker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	child_fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	if (broker->epoll_fd < 0 || child_fd < 0 || event_add(broker, &broker->children, child_fd, children_ready) != 0 ||
	    event_add(broker, &broker->door, door_fd, door_ready) != 0)
		die("the broker cannot wait for events: %s", strerror(errno));
	for (;;) {
		struct epoll_event events[EVENTS_AT_ONCE];
		int count;

		if (clock_us() >= broker->wake_us)
			keep_time(broker);
		count = epoll_wait(broker->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms(broker->wake_us));
		if (count < 0 && errno != EINTR)
			die("epoll_wait: %s", strerror(errno));
		for (int i = 0; i < count; i++) {
			struct event *event = events[i].data.ptr;

			/* An earlier one of this batch may have closed it. */
			if (event->fd >= 0)
				event->ready(broker, event, events[i].events);
		}
		client_free_gone(broker);
	}
}
