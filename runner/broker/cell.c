/* cell.c - see cell.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "broker/run.h"
#include "broker/warden_link.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"

#define ENDING_LIMIT_US 10000000u    /* for a killed cell to be gone, before the log says so */
#define RECLAIM_LIMIT_US 10000000u
#define CPU_CHECK_MIN_US 5000u
#define CPU_RLIMIT_SPARE_S 2u
#define SUSPECT_FAILURES 3           /* in a row, of whatever language: it may be the cell's own fault */
#define ASIDE_FIRST_US 500000u       /* then it is set aside: so long, then twice as long, ... */
#define ASIDE_MOST_US 60000000u
#define LEFT_MAX_BYTES (UINT64_C(32) << 20) /* that a control group may be charged for when its cell is used again */
#define GUEST_FAILED 127             /* exit status of a guest that reports that a step failed */

/* ---- states ----------------------------------------------------------------------------------------------------- */

#define TO(state) (1u << (state))

/* Into which states a cell may go from each; see the picture in cell.h. */
static const unsigned transitions[CELL_STATES] = {
	[CELL_FREE] = TO(CELL_ARMING),
	[CELL_ARMING] = TO(CELL_ARMED) | TO(CELL_ENDING),
	[CELL_ARMED] = TO(CELL_RUNNING) | TO(CELL_ENDING),
	[CELL_RUNNING] = TO(CELL_SETTLING) | TO(CELL_ENDING),
	[CELL_SETTLING] = TO(CELL_ENDING),
	[CELL_ENDING] = TO(CELL_RECLAIMING) | TO(CELL_FREE),
	[CELL_RECLAIMING] = TO(CELL_FREE),
};

/* `check_us`: when cell_check is to look at it. */
static void
enter_state(struct broker *broker, struct cell *cell, enum cell_state state, uint64_t check_us)
{
	if ((transitions[cell->state] & TO(state)) == 0)
		die("cell %u: from state %d to state %d: the broker is wrong about its cells", cell->number, (int)cell->state, (int)state);
	cell->state = state;
	cell->state_us = clock_us();
	cell->check_us = check_us;
	loop_wake_at(&broker->loop, check_us);
}

static struct pool *
pool_of(const struct cell *cell)
{
	return &cell->language->pool[cell->pool];
}

void
cell_init(struct cell *cell, uint32_t number)
{
	*cell = (struct cell){ .number = number, .check_us = NEVER_US, .cgroup = cgroup_no_cell, .control = { .fd = -1 },
		.control_fd = -1, .link_fd = -1, .box_fd = -1, .init_fd = -1, .init = { .fd = -1 }, .reaper = { .fd = -1 },
		.reclaim = { .fd = -1 } };
}

bool
cell_is_busy(const struct cell *cell)
{
	return cell->state != CELL_FREE && (cell->state != CELL_ARMED || cell->is_reserved);
}

static void
list_armed(struct cell *cell)
{
	struct pool *pool = pool_of(cell);

	cell->next_armed = pool->armed;
	pool->armed = cell;
	pool->armed_count++;
}

static void
unlist_armed(struct cell *cell)
{
	struct cell **link = &pool_of(cell)->armed;

	if (cell->is_reserved)
		return; /* it was never listed */
	while (*link != cell)
		link = &(*link)->next_armed;
	*link = cell->next_armed;
	pool_of(cell)->armed_count--;
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

/* Part a cell from its run. */
static struct run *
take_run(struct cell *cell)
{
	struct run *run = cell->run;

	cell->run = NULL;
	if (run != NULL)
		run->cell = NULL;
	return run;
}

static void
become_free(struct broker *broker, struct cell *cell)
{
	loop_unwatch(&broker->loop, &cell->reclaim);
	broker->reserved -= cell->is_reserved;
	cell->is_reserved = false;
	cell->is_crowded = false;
	enter_state(broker, cell, CELL_FREE, NEVER_US);
	loop_dispatch(&broker->loop);
}

static void
reclaimed(void *context, struct watch *watch, uint32_t events)
{
	(void)events;
	become_free(context, watch_owner(watch, struct cell, reclaim));
}

/*
 * Have the warden empty the control group, if an earlier run has left much charged to it: cached files, and names that are
 * not there. The next run would pay for it: its limit includes that, and to write a lower limit would make the writer
 * reclaim, which is never the broker. Returns whether that is under way.
 */
static bool
reclaim(struct broker *broker, struct cell *cell)
{
	uint64_t now_bytes = broker->cgroup.version == 0 ? 0 : cgroup_memory_now_bytes(&cell->cgroup);
	struct warden_request request = { .kind = WARDEN_RECLAIM, .cell = cell->number };

	if ((now_bytes <= LEFT_MAX_BYTES && !cell->is_crowded) || cell->cgroup.memory_reclaim_fd < 0)
		return false;
	request.bytes = cgroup_reclaim_argument(&broker->cgroup, now_bytes);
	return warden_link_ask(broker, cell->language, &request, &cell->cgroup.memory_reclaim_fd, 1, &cell->reclaim, reclaimed) == 0;
}

void
cell_gone(struct broker *broker, struct cell *cell)
{
	struct run *run = take_run(cell);

	if (run != NULL && run->state != RUN_LEAVING)
		run_refuse(broker, run, REFUSED_FAULT, "its cell ended before its program", 0);
	else if (run != NULL && run->is_compile)
		broker->isolation->extract(broker, cell, run);
	else if (run != NULL)
		run_answer(broker, run);
	fdpass_close(&cell->box_fd, 1);
	if (reclaim(broker, cell))
		enter_state(broker, cell, CELL_RECLAIMING, clock_us() + RECLAIM_LIMIT_US);
	else
		become_free(broker, cell);
}

/* All that is in the cell is killed; it is gone only after all of it is. */
static void
end(struct broker *broker, struct cell *cell)
{
	if (broker->isolation->end(broker, cell))
		loop_wake_at(&broker->loop, cell->check_us);
	else
		cell_gone(broker, cell);
}

/* Take down a cell that is in no list. */
static void
take_down(struct broker *broker, struct cell *cell)
{
	if (cell->state == CELL_ARMING)
		pool_of(cell)->arming_count--;
	loop_unwatch(&broker->loop, &cell->control);
	fdpass_close(&cell->control_fd, 1);
	fdpass_close(&cell->link_fd, 1);
	if (cell->run == NULL || cell->run->state != RUN_LEAVING || !cell->run->is_compile)
		fdpass_close(&cell->box_fd, 1);
	enter_state(broker, cell, CELL_ENDING, clock_us() + ENDING_LIMIT_US);
	end(broker, cell);
}

/* The run that a cell was made for, if it was, cannot be started. */
static void
refuse_reserved(struct broker *broker, struct cell *cell, struct failure failure)
{
	struct run *run = cell->is_reserved ? take_run(cell) : NULL;

	if (run != NULL)
		run_refuse(broker, run, REFUSED_FAULT, failure.step, failure.error);
}

void
cell_give_up(struct broker *broker, struct cell *cell)
{
	unlist_armed(cell);
	refuse_reserved(broker, cell, (struct failure){ .step = "its cell was given up" });
	take_down(broker, cell);
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

/*
 * The cell could not be made. Once or twice that is as likely the fault of its language, and any other language that makes
 * it clears it.
 */
static void
count_failure(struct cell *cell)
{
	unsigned doublings;
	uint64_t wait_us;

	if (++cell->failures < SUSPECT_FAILURES)
		return;
	doublings = cell->failures - SUSPECT_FAILURES;
	wait_us = (uint64_t)ASIDE_FIRST_US << (doublings < 7 ? doublings : 7);
	cell->aside_us = clock_us() + (wait_us < ASIDE_MOST_US ? wait_us : ASIDE_MOST_US);
}

void
cell_arming_failed(struct broker *broker, struct cell *cell, struct failure failure)
{
	count_failure(cell);
	refuse_reserved(broker, cell, failure);
	pool_failed(broker, cell->language, pool_of(cell), failure);
	take_down(broker, cell);
}

/* The guest's report, or word of why there is none. */
static void
control_ready(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct cell *cell = watch_owner(watch, struct cell, control);
	struct guest_report report = { 0 };
	int fds[2] = { -1, -1 };
	size_t count = 0;
	pid_t pid;
	ssize_t n = fdpass_recv(watch->fd, &report, sizeof report, fds, 2, &count, &pid);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (cell->state != CELL_ARMING) {
		/* An armed guest has nothing to say: it has died, and its exit comes next. */
		fdpass_close(fds, count);
		loop_unwatch(&broker->loop, watch);
		return;
	}
	report.step[sizeof report.step - 1] = '\0';
	if (n != (ssize_t)sizeof report || report.error != 0 || count != 2 || pid <= 0) {
		fdpass_close(fds, count);
		cell_arming_failed(broker, cell, n == (ssize_t)sizeof report && report.error != 0 ?
		    (struct failure){ report.step, report.error } :
		    (struct failure){ .step = "its warden, zygote or guest died" });
		return;
	}
	broker->isolation->armed(cell, fds);
	/* It may have died, and been reaped as an unknown child, before this was read. */
	if (kill(pid, 0) != 0) {
		cell_arming_failed(broker, cell, (struct failure){ .step = "the guest died at once" });
		return;
	}
	cell->guest_pid = pid;
	cell->failures = 0;
	pool_of(cell)->arming_count--;
	pool_recovered(pool_of(cell));
	enter_state(broker, cell, CELL_ARMED, NEVER_US);
	if (!cell->is_reserved)
		list_armed(cell);
	loop_dispatch(&broker->loop);
}

/* Whether the cells of this pool reach a proxy. */
static bool
needs_relay(const struct broker *broker, uint32_t pool)
{
	return broker->config->network == NETWORK_PROXY && (pool % GRANT_COUNT & GRANT_NETWORK) != 0;
}

/* The guest's end of the control socket becomes *guest_fd. Returns 0, or -1 with errno. */
static int
open_control(struct broker *broker, struct cell *cell, int *guest_fd)
{
	int pair[2], yes = 1, error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	/* With SO_PASSCRED the kernel vouches for the guest's pid. */
	if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0 ||
	    loop_watch(&broker->loop, &cell->control, pair[0], control_ready) != 0) {
		error = errno;
		fdpass_close(pair, 2);
		errno = error;
		return -1;
	}
	*guest_fd = pair[1];
	return 0;
}

/* Make the cell's link to the relay. Returns 0, or -1 with errno. */
static int
open_link(struct broker *broker, struct cell *cell)
{
	int pair[2], error;

	if (broker->relay.fd < 0) {
		errno = ENOTCONN;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return -1;
	if (fdpass_send(broker->relay.fd, "", 1, &pair[1], 1) != 0) {
		error = errno;
		fdpass_close(pair, 2);
		errno = error;
		return -1;
	}
	close(pair[1]);
	cell->link_fd = pair[0];
	return 0;
}

/* Nothing is in the cell, so these figures stand still until the guest starts. */
static void
read_bases(struct cell *cell)
{
	cell->oom_base = cgroup_oom_kills(&cell->cgroup);
	cell->fork_base = cgroup_fork_refusals(&cell->cgroup);
	cell->processes_base = cgroup_pids_peak(&cell->cgroup);
	cell->memory_base = cgroup_memory_now_bytes(&cell->cgroup);
}

/* Order the cell from the warden. What was opened for it stays open if that fails. */
static struct failure
order(struct broker *broker, struct cell *cell, const struct zygote *zygote)
{
	struct warden_request request = { .kind = WARDEN_MAKE, .cell = cell->number, .zygote = zygote->number,
		.has_network = needs_relay(broker, zygote->pool) };
	int fds[3 + REQUEST_CGROUPS_MAX], guest_fd = -1, level_fd = -1;
	struct failure failure = { NULL };
	size_t count = 0;

	if (open_control(broker, cell, &guest_fd) != 0)
		failure = (struct failure){ "make its control socket", errno };
	else if (request.has_network != 0 && open_link(broker, cell) != 0)
		failure = (struct failure){ "make its link to the relay", errno };
	else if (broker->isolation->begin(broker, cell, &level_fd) != 0)
		failure = (struct failure){ "connect its reaper", errno };
	if (failure.step == NULL) {
		request.tree = cell->tree;
		fds[count++] = guest_fd;
		if (level_fd >= 0)
			fds[count++] = level_fd;
		memcpy(fds + count, cell->cgroup.join_fd, cell->cgroup.joins * sizeof *fds);
		count += cell->cgroup.joins;
		if (request.has_network != 0)
			fds[count++] = cell->link_fd;
		if (warden_link_send(cell->language, &request, fds, count) != 0)
			failure = (struct failure){ "order it from the warden", errno };
	}
	fdpass_close(&guest_fd, 1);
	fdpass_close(&level_fd, 1);
	return failure;
}

/* Returns 0, or -1 if the cell could not be ordered: then it is free, and that counts as a failure of the pool. */
static int
arm(struct broker *broker, struct cell *cell, struct zygote *zygote)
{
	struct language *language = zygote->language;
	struct failure failure;

	cell->language = language;
	cell->pool = zygote->pool;
	read_bases(cell);
	failure = order(broker, cell, zygote);
	if (failure.step != NULL) {
		fdpass_close(&cell->link_fd, 1);
		loop_unwatch(&broker->loop, &cell->control);
		broker->isolation->abandon(broker, cell);
		pool_failed(broker, language, &language->pool[zygote->pool], failure);
		return -1;
	}
	if (++zygote->forks == language->config->recycle_runs)
		loop_wake_at(&broker->loop, 0);
	pool_of(cell)->arming_count++;
	enter_state(broker, cell, CELL_ARMING, clock_us() + broker->isolation->arming_limit_us);
	return 0;
}

int
cell_arm(struct broker *broker, struct cell *cell, struct language *language, uint32_t pool)
{
	struct zygote *zygote = pick_zygote(language, pool);

	return zygote == NULL ? -1 : arm(broker, cell, zygote);
}

int
cell_arm_for(struct broker *broker, struct cell *cell, struct zygote *zygote, struct run *run)
{
	if (arm(broker, cell, zygote) != 0)
		return -1;
	cell->is_reserved = true;
	broker->reserved++;
	cell->run = run;
	run->cell = cell;
	return 0;
}

/* ---- the start of a run ----------------------------------------------------------------------------------------- */

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

/*
 * Processes and threads that a run may have at one time. A program that may start no process has the configured number of
 * threads. One that may is held to exactly its limit, and there every thread counts, as the kernel counts.
 */
static uint64_t
allowed_tasks(const struct broker *broker, const struct run_limits *limits)
{
	return limits->processes > 1 ? limits->processes : 1 + broker->config->threads;
}

enum room {
	ROOM_ENOUGH,
	ROOM_CROWDED,   /* by what earlier runs left */
	ROOM_TOO_SMALL, /* the waiting guest alone is over the limit */
};

/*
 * Whether the memory limit can be set. A limit below what is in use would have the kernel reclaim, and its writer wait: so such
 * a limit is not written at all.
 */
static enum room
find_room(const struct cell *cell)
{
	uint64_t wanted = cell->limits.memory_bytes, now;

	if (wanted >= cell->cgroup.memory_limit_bytes)
		return ROOM_ENOUGH;
	now = cgroup_memory_now_bytes(&cell->cgroup);
	if (now <= wanted)
		return ROOM_ENOUGH;
	return now - (cell->memory_base < now ? cell->memory_base : now) > wanted ? ROOM_TOO_SMALL : ROOM_CROWDED;
}

/* All that must be in force before the guest gets its code. */
static struct failure
prepare_run(struct broker *broker, struct cell *cell, const struct run *run)
{
	const struct relay_start relay = { run->proxy };

	if (broker->cgroup.version != 0 &&
	    cgroup_limit(&cell->cgroup, cell->limits.memory_bytes, allowed_tasks(broker, &cell->limits)) != 0)
		return (struct failure){ "set the limits of its control group", errno };
	if (broker->isolation->start(broker, cell) != 0)
		return (struct failure){ "set the size of its disk", errno };
	if (cell->link_fd >= 0 && fdpass_send(cell->link_fd, &relay, sizeof relay, NULL, 0) != 0)
		return (struct failure){ "have the relay begin", errno };
	return (struct failure){ NULL };
}

/* Returns the failure, if it fails. */
static struct failure
hand_over(struct broker *broker, const struct cell *cell, const struct run *run)
{
	const struct run_limits *limits = &cell->limits;
	struct guest_start start = { .has_stdin = run->fd_count == 4, .has_output = run->program_fd >= 0,
		.is_compile = run->is_compile, .attack = run->attack,
		.cpu_seconds = (limits->cpu_ms + 999) / 1000 + CPU_RLIMIT_SPARE_S };
	int fds[RUN_FDS + 1];

	if (broker->cgroup.version == 0) {
		start.data_bytes = limits->memory_bytes;
		start.tasks = allowed_tasks(broker, limits);
	}
	if (broker->isolation->files_are_on_host)
		start.file_bytes = limits->disk_bytes;
	memcpy(fds, run->fds, run->fd_count * sizeof *fds);
	fds[run->fd_count] = run->program_fd;
	if (fdpass_send(cell->control.fd, &start, sizeof start, fds, run->fd_count + start.has_output) != 0)
		return (struct failure){ "hand it to its guest", errno };
	return (struct failure){ NULL };
}

/* Whether a failure is the cell's, which has died or is too full: the run has lost nothing, and can take another cell. */
static bool
is_of_cell(const struct failure *failure)
{
	return failure->error == EPIPE || failure->error == EBADF || failure->error == ECONNRESET || failure->error == EBUSY;
}

/* The first look at the CPU time that a run has used: it cannot have used it up before. */
static uint64_t
cpu_left_us(const struct broker *broker, const struct cell *cell, uint64_t used_us)
{
	return (cell->limits.cpu_ms * 1000 - used_us) * 100 / broker->config->cpu_percent;
}

static enum cell_start
refuse_start(struct broker *broker, struct cell *cell, struct run *run, struct failure failure)
{
	bool is_lost = is_of_cell(&failure) && !cell->is_reserved;

	if (failure.error == EBUSY)
		cell->is_crowded = true;
	if (cell->is_reserved)
		take_run(cell);
	if (!is_lost)
		run_refuse(broker, run, REFUSED_FAULT, failure.step, failure.error);
	take_down(broker, cell);
	return is_lost ? CELL_UNUSABLE : CELL_STARTED;
}

enum cell_start
cell_start_run(struct broker *broker, struct cell *cell, struct run *run)
{
	uint64_t began_us = clock_us(), handed_us;
	struct failure failure = { NULL };
	enum room room;

	unlist_armed(cell);
	cell->limits = run->limits;
	cell->end = END_ITSELF;
	cell->is_disk_full = false;
	cell->denied = (struct denied_calls){ .total = 0 };
	room = broker->cgroup.version == 0 ? ROOM_ENOUGH : find_room(cell);
	if (room == ROOM_TOO_SMALL) {
		run->result = (struct run_result){ .verdict = VERDICT_MEMORY_LIMIT, .exit_code = -1 };
		take_run(cell);
		run_answer(broker, run);
		take_down(broker, cell);
		return CELL_STARTED;
	}
	failure = room == ROOM_CROWDED ? (struct failure){ "find room in its control group", EBUSY } : prepare_run(broker, cell, run);
	cell->cpu_base_us = cell_cpu_us(broker, cell);
	/* Before, not after: the guest may be done by the time that we are back. */
	handed_us = clock_us();
	if (failure.step == NULL)
		failure = hand_over(broker, cell, run);
	if (failure.step != NULL)
		return refuse_start(broker, cell, run, failure);
	cell->control_fd = poller_release(&broker->loop.poller, &cell->control);
	fdpass_close(run->fds, run->fd_count);
	fdpass_close(&run->program_fd, 1);
	run->fd_count = 0;
	run->state = RUN_STARTED;
	run->cell = cell;
	cell->run = run;
	cell->spawn_us = handed_us - began_us;
	enter_state(broker, cell, CELL_RUNNING,
	    handed_us + earlier_us(run->limits.wall_ms * 1000, cpu_left_us(broker, cell, 0)));
	cell->state_us = handed_us;
	broker->running++;
	return CELL_STARTED;
}

/* ---- the end of a run ------------------------------------------------------------------------------------------- */

/* The network that the cell's program had. */
static enum network
network_of(const struct broker *broker, const struct cell *cell)
{
	return (cell->pool % GRANT_COUNT & GRANT_NETWORK) != 0 ? broker->config->network : NETWORK_NONE;
}

static uint64_t
usage_cpu_us(const struct rusage *usage)
{
	return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000u +
	    (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/*
 * Whether the guest found, after it had got its run, that one of its layers could not be put up. The program has not started
 * then, and could not have written this: the guest closes its end before.
 */
static bool
has_guest_failed(const struct cell *cell, struct guest_report *report)
{
	size_t count;

	if (cell->end != END_ITSELF || !WIFEXITED(cell->wait_status) || WEXITSTATUS(cell->wait_status) != GUEST_FAILED ||
	    cell->control_fd < 0 ||
	    fdpass_recv(cell->control_fd, report, sizeof *report, NULL, 0, &count, NULL) != (ssize_t)sizeof *report)
		return false;
	report->step[sizeof report->step - 1] = '\0';
	return report->error != 0;
}

static void
measure(struct broker *broker, const struct cell *cell, const struct run *run, struct run_facts *facts, struct run_result *result)
{
	uint64_t cpu_us = cell->limits.processes == 1 || broker->cgroup.version == 0 ? usage_cpu_us(&cell->usage) :
	    cell_cpu_us(broker, cell);

	result->wall_us = cell->ended_us - cell->state_us;
	result->queue_us = cell->state_us - cell->spawn_us - run->queued_us;
	result->cpu_us = facts->cpu_us = cpu_us > cell->cpu_base_us ? cpu_us - cell->cpu_base_us : 0;
	if (broker->cgroup.version != 0) {
		result->memory_peak_bytes = cgroup_memory_peak_bytes(&cell->cgroup);
		result->memory_peak_bytes -= result->memory_peak_bytes > cell->memory_base ? cell->memory_base : 0;
		result->processes_peak = (uint32_t)cgroup_pids_peak(&cell->cgroup);
		/* The kernel never sets it back: up to the number that an earlier run in this cell had, it cannot tell. */
		if (result->processes_peak > 1 && result->processes_peak <= cell->processes_base)
			result->processes_peak = 0;
	}
	if (result->memory_peak_bytes == 0)
		result->memory_peak_bytes = (uint64_t)cell->usage.ru_maxrss * 1024u;
}

/* Answer the run, or leave the answer for the time when nothing is left in its cell. */
static void
finish_run(struct broker *broker, struct cell *cell)
{
	struct run *run = cell->run;
	struct run_facts facts = { .end = cell->end, .wait_status = cell->wait_status, .cpu_limit_ms = cell->limits.cpu_ms };
	bool is_good = cell->end == END_ITSELF && cell->wait_status == 0;
	struct guest_report report;

	if (has_guest_failed(cell, &report)) {
		take_run(cell);
		run_refuse(broker, run, REFUSED_FAULT, report.step, report.error);
		return;
	}
	run->result = (struct run_result){ .network = network_of(broker, cell), .spawn_us = cell->spawn_us, .denied = cell->denied };
	measure(broker, cell, run, &facts, &run->result);
	/* The rest only explains a failure. */
	if (!is_good && broker->cgroup.version != 0) {
		facts.out_of_memory = cgroup_oom_kills(&cell->cgroup) > cell->oom_base;
		facts.fork_refused = cgroup_fork_refusals(&cell->cgroup) > cell->fork_base;
	}
	if (!is_good)
		facts.disk_full = cell->is_disk_full || broker->isolation->is_disk_full(cell);
	verdict_judge(&facts, &run->result);
	if (cell->is_reserved || (run->is_compile && run->result.verdict == VERDICT_OK)) {
		run->state = RUN_LEAVING;
		return;
	}
	take_run(cell);
	run_answer(broker, run);
}

void
cell_settled(struct broker *broker, struct cell *cell)
{
	if (cell->run != NULL)
		finish_run(broker, cell);
	take_down(broker, cell);
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
		if (broker->isolation->settle(broker, cell)) {
			uint64_t check_us = cell->check_us, began_us = cell->state_us;

			enter_state(broker, cell, CELL_SETTLING, check_us);
			cell->state_us = began_us; /* the run's, until its result */
		} else {
			cell_settled(broker, cell);
		}
		break;
	case CELL_ARMED:
		log_warn("%s: an armed guest died (wait status 0x%x)", cell->language->config->name, (unsigned)wait_status);
		cell_give_up(broker, cell);
		break;
	case CELL_ENDING: /* killed unused; its init, which waits for this, goes next */
	default:
		break;
	}
}

void
cell_run_lost(struct broker *broker, struct cell *cell, const char *why)
{
	struct run *run = take_run(cell);

	log_warn("%s: cell %u: %s", cell->language->config->name, cell->number, why);
	if (run != NULL)
		run_refuse(broker, run, REFUSED_FAULT, why, 0);
}

void
cell_end_run(struct broker *broker, struct cell *cell, enum run_end why)
{
	if (cell->state != CELL_RUNNING || cell->end != END_ITSELF)
		return;
	cell->end = why;
	broker->isolation->kill(cell);
}

void
cell_drop_run(struct broker *broker, struct cell *cell)
{
	take_run(cell);
	cell_end_run(broker, cell, END_CLIENT_GONE);
}

void
cell_reaper_lost(struct broker *broker, struct cell *cell)
{
	struct run *run = cell->state == CELL_ARMED && cell->is_reserved ? NULL : take_run(cell);

	if (run != NULL)
		run_refuse(broker, run, REFUSED_FAULT, "its reaper died", 0);
	if (cell->state == CELL_ARMED)
		cell_give_up(broker, cell);
	else if (cell->state == CELL_ARMING)
		cell_arming_failed(broker, cell, (struct failure){ .step = "its reaper died" });
	/* In the others its guest is about to be killed, or comes to its end. */
}

/* ---- deadlines -------------------------------------------------------------------------------------------------- */

static void
check_run(struct broker *broker, struct cell *cell, uint64_t now_us)
{
	uint64_t wall_us = now_us - cell->state_us;
	uint64_t cpu_us = cell_cpu_us(broker, cell) - cell->cpu_base_us;
	uint64_t left_us;

	cell->check_us = now_us + ENDING_LIMIT_US;
	if (wall_us >= cell->limits.wall_ms * 1000) {
		cell_end_run(broker, cell, END_WALL);
	} else if (cpu_us >= cell->limits.cpu_ms * 1000) {
		cell_end_run(broker, cell, END_CPU);
	} else {
		/* CPU time runs no faster than the cell's share of it, so it cannot be used up before then. */
		left_us = cpu_left_us(broker, cell, cpu_us);
		left_us = left_us > CPU_CHECK_MIN_US ? left_us : CPU_CHECK_MIN_US;
		cell->check_us = now_us + earlier_us(left_us, cell->limits.wall_ms * 1000 - wall_us);
	}
}

uint64_t
cell_check(struct broker *broker, struct cell *cell, uint64_t now_us)
{
	if (now_us < cell->check_us)
		return cell->check_us;
	switch (cell->state) {
	case CELL_ARMING:
		cell_arming_failed(broker, cell, (struct failure){ .step = "the guest did not report in time" });
		break;
	case CELL_RUNNING:
		check_run(broker, cell, now_us);
		break;
	case CELL_SETTLING:
		cell_settled(broker, cell);
		break;
	case CELL_ENDING:
		if (now_us >= cell->state_us + ENDING_LIMIT_US) {
			log_warn("cell %u: killed %u s ago and not gone yet", cell->number, ENDING_LIMIT_US / 1000000u);
			cell->state_us = now_us;
		}
		cell->check_us = cell->state_us + ENDING_LIMIT_US;
		end(broker, cell);
		break;
	case CELL_RECLAIMING:
		log_warn("cell %u: its control group could not be emptied in %u s", cell->number, RECLAIM_LIMIT_US / 1000000u);
		become_free(broker, cell);
		break;
	default:
		cell->check_us = NEVER_US;
		break;
	}
	return cell->check_us;
}
