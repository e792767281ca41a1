/* cell.c - see cell.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/client.h"
#include "clock.h"
#include "fdpass.h"
#include "broker/reaper_link.h"
#include "log.h"
#include "messages.h"
#include "broker/verdict.h"
#include "broker/selftest.h"

#define ARM_LIMIT_US 10000000u    /* for a guest to report */
#define ARM_CHROOT_LIMIT_US 120000000u
#define ENDING_LIMIT_US 10000000u /* for a killed cell to be gone, before we say so */
#define CPU_CHECK_MIN_US 5000u
#define CPU_RLIMIT_SPARE_S 2u
#define RESIZE_LIMIT_MS 2000
#define TORN_DOWN_WAIT_US 100000u /* for an init to follow its guest */

static void control_ready(struct broker *broker, struct event *event, uint32_t events);
static void init_exited(struct broker *broker, struct event *event, uint32_t events);

static struct pool *
pool_of(const struct cell *cell)
{
	return &cell->language->pool[cell->pool];
}

static void
enter_state(struct cell *cell, enum cell_state state)
{
	cell->state = state;
	cell->state_us = clock_us();
}

/* Nothing is left in it. */
static void
become_free(struct broker *broker, struct cell *cell)
{
	cell->check_us = UINT64_MAX;
	event_close(broker, &cell->control);
	enter_state(cell, CELL_FREE);
	if (cell->test != NULL)
		selftest_end(broker, cell);
}

/* ---- arming ----------------------------------------------------------------------------------------------------- */

/* The next zygote of the pool that serves, in turn; NULL if none does. */
static struct zygote *
pick_zygote(struct language *language, uint32_t number)
{
	struct pool *pool = &language->pool[number];

	for (size_t i = 0; i < language->zygote_count; i++) {
		struct zygote *z = &language->zygote[(pool->turn + i) % language->zygote_count];

		if (z->pool == number && z->pid != 0 && z->is_proved) {
			pool->turn = z->number + 1;
			return z;
		}
	}
	return NULL;
}

/* Does a cell of this pool reach a proxy? */
static bool
needs_relay(const struct broker *broker, uint32_t pool)
{
	return broker->config->network == NETWORK_PROXY && (pool % GRANT_COUNT & GRANT_NETWORK) != 0;
}

/* Make the cell's link to the relay. Returns 0 or -1. */
static int
open_link(struct broker *broker, struct cell *cell)
{
	int pair[2];

	if (broker->relay.fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return -1;
	if (fdpass_send(broker->relay.fd, "", 1, &pair[1], 1) != 0) {
		fdpass_close(pair, 2);
		return -1;
	}
	close(pair[1]);
	cell->link_fd = pair[0];
	return 0;
}

int
cell_arm(struct broker *broker, struct cell *cell, struct language *language, uint32_t pool)
{
	struct zygote *zygote = pick_zygote(language, pool);

	return zygote == NULL ? -1 : cell_arm_from(broker, cell, zygote);
}

int
cell_arm_from(struct broker *broker, struct cell *cell, struct zygote *zygote)
{
	struct language *language = zygote->language;
	struct warden_request order = { .kind = WARDEN_MAKE, .cell = cell->number,
		.has_network = needs_relay(broker, zygote->pool) };
	int fds[3 + REQUEST_CGROUPS_MAX], pair[2], reaper_fd = -1, yes = 1;
	size_t count = 0;

	if (language->warden.sock < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	/* The kernel vouches for the guest's pid. */
	if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0 ||
	    fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0 ||
	    event_add(broker, &cell->control, pair[0], control_ready) != 0) {
		fdpass_close(pair, 2);
		return -1;
	}
	cell->language = language;
	cell->pool = zygote->pool;
	if ((order.has_network != 0 && open_link(broker, cell) < 0) ||
	    (broker->config->level == LEVEL_CHROOT && reaper_link_begin(broker, cell, &reaper_fd) != 0)) {
		fdpass_close(&cell->link_fd, 1);
		close(pair[1]);
		event_close(broker, &cell->control);
		return -1;
	}
	order.zygote = zygote->number;
	order.tree = cell->tree;
	fds[count++] = pair[1];
	if (reaper_fd >= 0)
		fds[count++] = reaper_fd;
	memcpy(fds + count, cell->cgroup.join_fd, cell->cgroup.joins * sizeof *fds);
	count += cell->cgroup.joins;
	if (order.has_network != 0)
		fds[count++] = cell->link_fd;
	if (fdpass_send(language->warden.sock, &order, sizeof order, fds, count) != 0) {
		fdpass_close(&reaper_fd, 1);
		fdpass_close(&cell->link_fd, 1);
		close(pair[1]);
		event_close(broker, &cell->init);
		event_close(broker, &cell->control);
		return -1;
	}
	fdpass_close(&reaper_fd, 1);
	close(pair[1]);
	if (++zygote->forks == language->config->recycle_runs)
		broker_wake_at(broker, 0);
	/* Nothing is in the cell, so these counters stand still until the guest starts. */
	cell->oom_base = cgroup_oom_kills(&cell->cgroup);
	cell->fork_base = cgroup_fork_refusals(&cell->cgroup);
	cell->processes_base = cgroup_pids_peak(&cell->cgroup);
	cell->memory_base = cgroup_memory_now_bytes(&cell->cgroup);
	enter_state(cell, CELL_ARMING);
	pool_of(cell)->arming_count++;
	/* A tree that has to be made first takes its time. */
	cell->check_us = cell->state_us + (broker->config->level == LEVEL_CHROOT ? ARM_CHROOT_LIMIT_US : ARM_LIMIT_US);
	broker_wake_at(broker, cell->check_us);
	return 0;
}

void
cell_arming_failed(struct broker *broker, struct cell *cell, const char *why, int error)
{
	struct pool *pool = pool_of(cell);

	snprintf(broker->trouble, sizeof broker->trouble, "%s: a cell could not be made: %s%s%s", cell->language->config->name,
	    why, error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
	if (!language_rests(pool)) {
		/* One line for each failure would fill the disk when every one fails. */
		if (pool->failures++ == 0)
			log_warn("%s", broker->trouble);
		pool->retry_us = clock_us() + (pool->failures <= POOL_FAILURES_SAID ? 10000u : 500000u);
		broker_wake_at(broker, pool->retry_us);
	}
	cell_take_down(broker, cell);
	if (pool->failures > POOL_FAILURES_MOST)
		broker_give_up(broker, pool);
	broker_dispatch(broker);
}

/* The guest's report, or word of why there is none. */
static void
control_ready(struct broker *broker, struct event *event, uint32_t events)
{
	struct cell *cell = event_owner(event, struct cell, control);
	struct guest_report report = { 0 };
	int fds[2] = { -1, -1 };
	size_t count = 0;
	pid_t pid;
	ssize_t n = fdpass_recv(event->fd, &report, sizeof report, fds, 2, &count, &pid);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (cell->state != CELL_ARMING) {
		/* An armed guest has nothing to say: it has died, and is reaped elsewhere. */
		fdpass_close(fds, count);
		event_close(broker, event);
		return;
	}
	if (n == (ssize_t)sizeof report && report.error == 0 && count == 2 && pid > 0) {
		if (broker->config->level == LEVEL_CHROOT)
			fdpass_close(fds, 2); /* its keeper knows them better */
		cell->init_fd = fds[0];
		cell->box_fd = fds[1];
		/* It may have died, and been reaped as a stranger, before this was read. */
		if (kill(pid, 0) != 0) {
			cell_arming_failed(broker, cell, "the guest died at once", 0);
			return;
		}
		cell->guest_pid = pid;
		pool_of(cell)->arming_count--;
		enter_state(cell, CELL_ARMED);
		cell->check_us = UINT64_MAX;
		pool_of(cell)->failures = 0;
		pool_of(cell)->retry_us = 0;
		if (cell->test != NULL) {
			selftest_start(broker, cell);
			return;
		}
		cell->next_armed = pool_of(cell)->armed;
		pool_of(cell)->armed = cell;
		pool_of(cell)->armed_count++;
		broker_dispatch(broker);
		return;
	}
	fdpass_close(fds, count);
	report.step[sizeof report.step - 1] = '\0';
	if (n == (ssize_t)sizeof report)
		cell_arming_failed(broker, cell, report.step, report.error);
	else
		cell_arming_failed(broker, cell, "its warden, zygote or guest died", 0);
}

/* ---- a run ------------------------------------------------------------------------------------------------------ */

/* CPU time of the guest alone, its threads included. */
static uint64_t
guest_cpu_us(const struct cell *cell)
{
	/* The kernel's encoding of "CPU clock of process N"; clock_getcpuclockid(3) would make the same and check more. */
	clockid_t clock = (clockid_t)((~(unsigned)cell->guest_pid << 3) | 2u);
	struct timespec t;

	return clock_gettime(clock, &t) != 0 ? 0 : (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* CPU time of all that is in the cell. One process is asked directly, which is cheaper; more need the control group. */
static uint64_t
cell_cpu_us(const struct broker *broker, const struct cell *cell)
{
	if (cell->limits.processes == 1 || broker->cgroup.version == 0)
		return guest_cpu_us(cell);
	return cgroup_cpu_us(&broker->cgroup, &cell->cgroup);
}

static void
unlink_armed(struct cell *cell)
{
	struct cell **link = &pool_of(cell)->armed;

	if (cell->test != NULL)
		return; /* it was never listed */
	while (*link != cell)
		link = &(*link)->next_armed;
	*link = cell->next_armed;
	pool_of(cell)->armed_count--;
}

/* Give the tmpfs the size that this run asked for. Rare, so it may wait for the warden. Returns 0 or -1. */
static int
resize_disk(struct cell *cell, uint64_t disk_bytes)
{
	struct warden_request order = { .kind = WARDEN_RESIZE, .cell = cell->number, .disk_bytes = disk_bytes };
	struct guest_report report = { .error = ETIMEDOUT };
	struct pollfd answer = { .events = POLLIN };
	size_t count;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	answer.fd = pair[0];
	if (fdpass_send(cell->language->warden.sock, &order, sizeof order, &pair[1], 1) == 0 &&
	    poll(&answer, 1, RESIZE_LIMIT_MS) == 1 &&
	    fdpass_recv(pair[0], &report, sizeof report, NULL, 0, &count, NULL) != (ssize_t)sizeof report)
		report.error = EPROTO;
	fdpass_close(pair, 2);
	errno = report.error;
	return report.error == 0 ? 0 : -1;
}

/*
 * Processes and threads that a run may have at one time. A program that may start no process has the configured number of
 * threads. One that may is held to exactly what it asked for, and there every thread counts, as the kernel counts.
 */
static uint64_t
allowed_tasks(const struct broker *broker, const struct run_limits *limits)
{
	return limits->processes > 1 ? limits->processes : 1 + broker->config->threads;
}

/* All that must be in force before the guest gets its code. Returns NULL, or what failed. */
static const char *
prepare_run(struct broker *broker, struct cell *cell, const struct client *client)
{
	const struct run_limits *limits = &client->request.limits;

	if (broker->cgroup.version != 0 &&
	    cgroup_limit(&cell->cgroup, limits->memory_bytes, allowed_tasks(broker, limits)) != 0)
		return "set the limits of its control group";
	if (broker->config->level == LEVEL_CHROOT)
		reaper_link_watch(cell);
	else if (limits->disk_bytes != cell->language->config->limits.standard.disk_bytes &&
	    resize_disk(cell, limits->disk_bytes) != 0)
		return "set the size of its tmpfs";
	if (cell->link_fd >= 0 &&
	    fdpass_send(cell->link_fd, &(struct relay_start){ client->request.proxy },
	    sizeof(struct relay_start), NULL, 0) != 0)
		return "have the relay begin";
	return NULL;
}

void
cell_start_run(struct broker *broker, struct cell *cell, struct client *client)
{
	const struct run_limits *limits = &client->request.limits;
	struct guest_start start = { .has_stdin = client->fd_count == 4, .has_output = client->compiled_fd >= 0,
		.is_compile = client->request.kind == PROTO_COMPILE, .attack = client->attack,
		.cpu_seconds = (limits->cpu_ms + 999) / 1000 + CPU_RLIMIT_SPARE_S };
	static const struct run_result over_memory_limit = { .verdict = VERDICT_MEMORY_LIMIT, .exit_code = -1 };
	int fds[CLIENT_RUN_FDS + 1];
	uint64_t began_us = clock_us(), handed_us;
	const char *failed;

	memcpy(fds, client->fds, client->fd_count * sizeof *fds);
	fds[client->fd_count] = client->compiled_fd;
	if (broker->cgroup.version == 0) {
		start.data_bytes = limits->memory_bytes;
		start.tasks = allowed_tasks(broker, limits);
	}
	if (broker->config->level == LEVEL_CHROOT)
		start.file_bytes = limits->disk_bytes;
	unlink_armed(cell);
	cell->limits = *limits;
	cell->end = END_ITSELF;
	cell->denied = (struct denied_calls){ .total = 0 };
	failed = prepare_run(broker, cell, client);
	cell->cpu_base_us = cell_cpu_us(broker, cell);
	/* Before, not after: the guest may be done by the time that we are back. */
	handed_us = clock_us();
	if (failed == NULL &&
	    fdpass_send(cell->control.fd, &start, sizeof start, fds, client->fd_count + start.has_output) != 0)
		failed = "hand it to the guest";
	if (failed != NULL && errno == EBUSY) {
		/* The kernel cannot make the group as small as that: the waiting guest alone is over the limit. */
		client_result(client, &over_memory_limit);
		cell_take_down(broker, cell);
		return;
	}
	if (failed != NULL) {
		log_warn("%s: a run could not start: %s: %s", cell->language->config->name, failed, strerror(errno));
		client_refuse(client, REFUSED_FAULT);
		cell_take_down(broker, cell);
		return;
	}
	/* Kept, but not watched: a guest that cannot start its program reports there; see fault_of. */
	epoll_ctl(broker->epoll_fd, EPOLL_CTL_DEL, cell->control.fd, NULL);
	fdpass_close(client->fds, client->fd_count);
	fdpass_close(&client->compiled_fd, 1);
	client->fd_count = 0;
	client->state = CLIENT_RUNNING;
	client->cell = cell;
	cell->client = client;
	enter_state(cell, CELL_RUNNING);
	cell->state_us = handed_us;
	cell->spawn_us = cell->state_us - began_us;
	cell->check_us = cell->state_us + (limits->wall_ms < limits->cpu_ms ? limits->wall_ms : limits->cpu_ms) * 1000;
	broker->running++;
	broker_wake_at(broker, cell->check_us);
}

void
cell_end_run(struct broker *broker, struct cell *cell, enum cell_end why)
{
	if (cell->state != CELL_RUNNING || cell->end != END_ITSELF || cell->guest_pid == 0)
		return;
	cell->end = why;
	/* The guest's death comes as an event, and is told from there. */
	if (broker->config->level == LEVEL_NAMESPACES)
		syscall(SYS_pidfd_send_signal, cell->init_fd, SIGKILL, NULL, 0);
	else if (cell->init.fd >= 0)
		reaper_link_end(cell);
	else
		kill(cell->guest_pid, SIGKILL); /* the rest when it has a keeper again */
}

static bool
is_disk_full(const struct broker *broker, const struct cell *cell)
{
	struct statfs fs;

	if (broker->config->level == LEVEL_CHROOT)
		return cell->end == END_ITSELF && reaper_link_is_full(cell);
	return cell->box_fd >= 0 && fstatfs(cell->box_fd, &fs) == 0 && (fs.f_bavail == 0 || fs.f_ffree == 0);
}

/* What the cell's program had. */
static enum network
network_of(const struct broker *broker, const struct cell *cell)
{
	return (cell->pool % GRANT_COUNT & GRANT_NETWORK) != 0 ? broker->config->network : NETWORK_NONE;
}

/* Did the guest report that it could not start its program? Then `report` says why. */
static bool
fault_of(const struct cell *cell, struct guest_report *report)
{
	size_t count;

	if (cell->end != END_ITSELF || !WIFEXITED(cell->wait_status) || WEXITSTATUS(cell->wait_status) != 127 ||
	    fdpass_recv(cell->control.fd, report, sizeof *report, NULL, 0, &count, NULL) != (ssize_t)sizeof *report)
		return false;
	report->step[sizeof report->step - 1] = '\0';
	return true;
}

/* Tell the worker how its run ended. */
static void
tell_result(struct broker *broker, struct cell *cell)
{
	int wait_status = cell->wait_status;
	const struct rusage *usage = &cell->usage;
	struct client *client = cell->client;
	struct run_result result = { .network = network_of(broker, cell), .spawn_us = cell->spawn_us, .denied = cell->denied };
	struct run_facts facts = { .end = cell->end, .wait_status = wait_status, .cpu_limit_ms = cell->limits.cpu_ms };
	bool good = cell->end == END_ITSELF && wait_status == 0;
	uint64_t cpu_us = cell->limits.processes == 1 || broker->cgroup.version == 0 ?
	    (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000u +
	    (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) : cell_cpu_us(broker, cell);

	struct guest_report fault;

	if (fault_of(cell, &fault)) {
		log_warn("%s: a run could not start: %s: %s", cell->language->config->name, fault.step, strerror(fault.error));
		cell->client = NULL;
		client_refuse(client, REFUSED_FAULT);
		return;
	}
	result.wall_us = cell->ended_us - cell->state_us;
	result.queue_us = cell->state_us - cell->spawn_us - client->queued_us;
	result.cpu_us = facts.cpu_us = cpu_us > cell->cpu_base_us ? cpu_us - cell->cpu_base_us : 0;
	if (broker->cgroup.version != 0) {
		result.memory_peak_bytes = cgroup_memory_peak_bytes(&cell->cgroup);
		result.memory_peak_bytes -= result.memory_peak_bytes > cell->memory_base ? cell->memory_base : 0;
		result.processes_peak = (uint32_t)cgroup_pids_peak(&cell->cgroup);
		/* The kernel never sets it back: up to what an earlier run in this cell had, it cannot tell. */
		if (result.processes_peak > 1 && result.processes_peak <= cell->processes_base)
			result.processes_peak = 0;
	}
	if (result.memory_peak_bytes == 0)
		result.memory_peak_bytes = (uint64_t)usage->ru_maxrss * 1024u;
	/* The rest only explains a failure. */
	if (!good && broker->cgroup.version != 0) {
		facts.out_of_memory = cgroup_oom_kills(&cell->cgroup) > cell->oom_base;
		facts.fork_refused = cgroup_fork_refusals(&cell->cgroup) > cell->fork_base;
	}
	if (!good)
		facts.disk_full = is_disk_full(broker, cell);
	verdict_judge(&facts, &result);
	if (client->request.kind == PROTO_COMPILE && result.verdict == VERDICT_OK) {
		/* What it made is taken when nothing in the cell can change it any more. */
		client->state = CLIENT_COLLECTING;
		client->result = result;
		client->box_fd = cell->box_fd;
		cell->box_fd = -1;
		return;
	}
	cell->client = NULL;
	client_result(client, &result);
}

/*
 * A guest that dies of SIGKILL, and not by us, may have killed itself or been killed for memory; or somebody has killed
 * its init or our warden, and the kernel the whole cell. Then its init, which waited for the guest to be reaped, is
 * gone in a moment too, and the run has not come to its end. Only for such a death does the answer wait, and not for one
 * of which the cause is known.
 */
static bool
wait_for_init(struct broker *broker, struct cell *cell)
{
	if (broker->config->level == LEVEL_CHROOT || cell->end != END_ITSELF || !WIFSIGNALED(cell->wait_status) ||
	    WTERMSIG(cell->wait_status) != SIGKILL ||
	    (broker->cgroup.version != 0 && cgroup_oom_kills(&cell->cgroup) > cell->oom_base) ||
	    event_add(broker, &cell->init, cell->init_fd, init_exited) != 0)
		return false;
	cell->init_fd = -1;
	cell->check_us = cell->ended_us + TORN_DOWN_WAIT_US;
	broker_wake_at(broker, cell->check_us);
	return true;
}

static void
end_run(struct broker *broker, struct cell *cell)
{
	if (cell->client != NULL)
		tell_result(broker, cell);
	cell_take_down(broker, cell);
}

void
cell_guest_exited(struct broker *broker, struct cell *cell, int wait_status, const struct rusage *usage)
{
	cell->guest_pid = 0;
	switch (cell->state) {
	case CELL_RUNNING:
		broker->running--;
		cell->wait_status = wait_status;
		cell->usage = *usage;
		cell->ended_us = clock_us();
		cell->language->used_us = cell->ended_us;
		if (!wait_for_init(broker, cell))
			end_run(broker, cell);
		break;
	case CELL_ARMED:
		log_warn("%s: an armed guest died (wait status 0x%x)", cell->language->config->name, (unsigned)wait_status);
		unlink_armed(cell);
		cell_take_down(broker, cell);
		break;
	case CELL_ENDING: /* killed unused; its init, which waits for this, goes next */
	case CELL_ARMING:
	case CELL_FREE:
		break;
	}
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

void
cell_give_up(struct broker *broker, struct cell *cell)
{
	unlink_armed(cell);
	cell_take_down(broker, cell);
}

void
cell_take_down(struct broker *broker, struct cell *cell)
{
	if (cell->state == CELL_ARMING)
		pool_of(cell)->arming_count--;
	event_close(broker, &cell->control);
	fdpass_close(&cell->box_fd, 1);
	fdpass_close(&cell->link_fd, 1);
	if (cell->init_fd >= 0 && event_add(broker, &cell->init, cell->init_fd, init_exited) != 0) {
		log_warn("cell %u: cannot watch its end: %s", cell->number, strerror(errno));
		syscall(SYS_pidfd_send_signal, cell->init_fd, SIGKILL, NULL, 0);
		close(cell->init_fd);
	}
	cell->init_fd = -1;
	if (cell->init.fd >= 0 || (broker->config->level == LEVEL_CHROOT && reaper_link_is_left(broker, cell))) {
		/* Killing init kills all that is in the cell; it is gone only after all of them are. */
		if (broker->config->level == LEVEL_CHROOT)
			reaper_link_end(cell);
		else
			syscall(SYS_pidfd_send_signal, cell->init.fd, SIGKILL, NULL, 0);
		enter_state(cell, CELL_ENDING);
		cell->check_us = cell->state_us + ENDING_LIMIT_US;
		broker_wake_at(broker, cell->check_us);
		return;
	}
	if (cell->state == CELL_ARMING && cell->language->warden.sock >= 0) {
		struct warden_request order = { .kind = WARDEN_DROP, .cell = cell->number };

		fdpass_send(cell->language->warden.sock, &order, sizeof order, NULL, 0);
	}
	become_free(broker, cell);
}

static void
init_exited(struct broker *broker, struct event *event, uint32_t events)
{
	struct cell *cell = event_owner(event, struct cell, init);

	(void)events;
	event_close(broker, event);
	if (cell->state == CELL_RUNNING && cell->client != NULL) {
		log_warn("%s: a cell was killed under a run", cell->language->config->name);
		client_refuse(cell->client, REFUSED_FAULT);
		cell->client = NULL;
	}
	if (cell->client != NULL) {
		struct client *client = cell->client;

		cell->client = NULL;
		client->cell = NULL;
		client_collect(broker, client, cell->language);
	}
	fdpass_close(&cell->box_fd, 1);
	/* An init's exit waits for every process of its namespace to be reaped: nothing is left in the cell. */
	cell_is_gone(broker, cell);
}

void
cell_is_gone(struct broker *broker, struct cell *cell)
{
	if (cell->client != NULL) {
		/* Its keeper died before it could say what the compiler had made. */
		client_refuse(cell->client, REFUSED_FAULT);
		cell->client = NULL;
	}
	become_free(broker, cell);
	broker_dispatch(broker);
}

void
cell_is_left(struct broker *broker, struct cell *cell)
{
	if (cell->client != NULL) {
		client_refuse(cell->client, REFUSED_FAULT);
		cell->client = NULL;
	}
	if (cell->state == CELL_RUNNING)
		return; /* its guest is about to be killed, or comes to its end */
	if (cell->state == CELL_ARMED)
		unlink_armed(cell);
	if (cell->state == CELL_ARMING)
		pool_of(cell)->arming_count--;
	event_close(broker, &cell->control);
	enter_state(cell, CELL_ENDING);
	cell->check_us = cell->state_us + ENDING_LIMIT_US;
	broker_wake_at(broker, cell->check_us);
}

uint64_t
cell_check(struct broker *broker, struct cell *cell, uint64_t now_us)
{
	uint64_t wall_us, cpu_us, left_us;

	if (now_us < cell->check_us)
		return cell->check_us;
	switch (cell->state) {
	case CELL_ARMING:
		cell_arming_failed(broker, cell, "the guest did not report in time", 0);
		break;
	case CELL_RUNNING:
		if (cell->guest_pid == 0) {
			/* Its init lives on: the program has killed itself. */
			end_run(broker, cell);
			return cell->check_us;
		}
		wall_us = now_us - cell->state_us;
		cpu_us = cell_cpu_us(broker, cell) - cell->cpu_base_us;
		if (wall_us >= cell->limits.wall_ms * 1000) {
			cell_end_run(broker, cell, END_WALL);
		} else if (cpu_us >= cell->limits.cpu_ms * 1000) {
			cell_end_run(broker, cell, END_CPU);
		} else {
			/* CPU time runs no faster than the cell's share of it, so it cannot be used up before then. */
			left_us = (cell->limits.cpu_ms * 1000 - cpu_us) * 100 / broker->config->cpu_percent;
			left_us = left_us > CPU_CHECK_MIN_US ? left_us : CPU_CHECK_MIN_US;
			if (left_us > cell->limits.wall_ms * 1000 - wall_us)
				left_us = cell->limits.wall_ms * 1000 - wall_us;
			cell->check_us = now_us + left_us;
			return cell->check_us;
		}
		cell->check_us = now_us + ENDING_LIMIT_US;
		return cell->check_us;
	case CELL_ENDING:
		log_warn("cell %u: killed %u s ago and not gone yet", cell->number, ENDING_LIMIT_US / 1000000u);
		if (broker->config->level == LEVEL_CHROOT && cell->init.fd < 0)
			reaper_link_again(broker, cell);
		cell->check_us = now_us + ENDING_LIMIT_US;
		return cell->check_us;
	case CELL_FREE:
	case CELL_ARMED:
		break;
	}
	return UINT64_MAX;
}
