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
#include "broker/dispatch.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "broker/run.h"
#include "broker/warden_link.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"

#define ENDING_LIMIT_US 10000000u /* for a killed cell to be gone, before the log says so */
#define RECLAIM_LIMIT_US 10000000u
#define WORKS_US 2000000u                  /* since a pool has made a cell, it is known to work */
#define SUSPECT_FAILURES 3                 /* to make a cell, in a row */
#define LEFT_MAX_BYTES (UINT64_C(4) << 20) /* of the kernel, that a group may be charged for at the next run */

/* ---- states ----------------------------------------------------------------------------------------------------- */

#define TO(state) (1u << (state))

/* Into which states a cell may go from each; see the picture in cell.h. */
static const unsigned transitions[CELL_STATES] = {
	[CELL_FREE] = TO(CELL_ARMING),
	[CELL_ARMING] = TO(CELL_ARMED) | TO(CELL_ENDING),
	[CELL_ARMED] = TO(CELL_RUNNING) | TO(CELL_ENDING),
	[CELL_RUNNING] = TO(CELL_ARMING) | TO(CELL_SETTLING) | TO(CELL_ENDING),
	[CELL_SETTLING] = TO(CELL_ENDING),
	[CELL_ENDING] = TO(CELL_RECLAIMING) | TO(CELL_FREE),
	[CELL_RECLAIMING] = TO(CELL_FREE),
};

static struct pool *
pool_of(const struct cell *cell)
{
	return &cell->language->pool[cell->pool];
}

/* Count the cell among those that are taken, or no more, by its state. */
static void
count_taken(struct broker *broker, const struct cell *cell, uint32_t by)
{
	if (cell->is_reserved || cell->state < CELL_RUNNING)
		return;
	broker->taken += by;
	if (cell->state >= CELL_ENDING)
		broker->emptying += by;
}

void
cell_will_not_return(struct cell *cell)
{
	if (!cell->is_returning)
		return;
	pool_of(cell)->returning--;
	cell->is_returning = false;
}

void
cell_enter_state(struct broker *broker, struct cell *cell, enum cell_state state, uint64_t check_us)
{
	if ((transitions[cell->state] & TO(state)) == 0)
		die("cell %u: from state %d to state %d: the broker is wrong about its cells", cell->number, (int)cell->state,
		    (int)state);
	count_taken(broker, cell, UINT32_MAX); /* one less */
	cell_will_not_return(cell);
	cell->state = state;
	count_taken(broker, cell, 1);
	cell->state_us = clock_us();
	cell->check_us = check_us;
	loop_wake_at(&broker->loop, check_us);
}

void
cell_init(struct cell *cell, uint32_t number)
{
	*cell = (struct cell){ .number = number,
		.check_us = NEVER_US,
		.cgroup = cgroup_no_cell,
		.control = { .fd = -1 },
		.control_fd = -1,
		.net = CELL_NET_NONE,
		.box_fd = -1,
		.memory_fd = -1,
		.init_fd = -1,
		.init = { .fd = -1 },
		.reaper = { .fd = -1 },
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

void
cell_unlist_armed(struct cell *cell)
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

struct run *
cell_take_run(struct cell *cell)
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
	cell_enter_state(broker, cell, CELL_FREE, NEVER_US);
	run_queue_forget_charge(broker, &cell->charge);
	broker->reserved -= cell->is_reserved;
	cell->is_reserved = false;
	cell->is_crowded = false;
	loop_dispatch(&broker->loop);
}

static void
reclaimed(void *context, struct watch *watch, uint32_t events)
{
	(void)events;
	become_free(context, watch_owner(watch, struct cell, reclaim));
}

/*
 * Whether an earlier run has left much of the kernel's memory charged to the group: names that are
 * not there, for instance. The next run would pay for that: it takes long to reclaim. Cached files
 * do not: they go at once when memory is needed, and until then spare the host's disk.
 */
static bool
is_left_much(const struct broker *broker, const struct cell *cell, uint64_t now_bytes)
{
	return now_bytes > LEFT_MAX_BYTES &&
	    (cell->cgroup.kernel_now_fd < 0 || cgroup_kernel_now_bytes(&broker->cgroup, &cell->cgroup) > LEFT_MAX_BYTES);
}

/* Whether the control group is to be emptied before the next run, and what it is charged for. */
static bool
is_to_be_reclaimed(const struct broker *broker, const struct cell *cell, uint64_t *now_bytes)
{
	*now_bytes = broker->cgroup.version == 0 ? 0 : cgroup_memory_now_bytes(&cell->cgroup);
	return cell->cgroup.memory_reclaim_fd >= 0 && (cell->is_crowded || is_left_much(broker, cell, *now_bytes));
}

/*
 * Have the warden empty the control group, if an earlier run has left much charged to it, or what
 * it left was in the way of a run. To write a limit below that would make the writer reclaim, which
 * is never the broker. Returns whether that is under way.
 */
static bool
reclaim(struct broker *broker, struct cell *cell)
{
	struct warden_request request = { .kind = WARDEN_RECLAIM, .cell = cell->number };
	uint64_t now_bytes;

	if (!is_to_be_reclaimed(broker, cell, &now_bytes))
		return false;
	request.bytes = cgroup_reclaim_argument(&broker->cgroup, now_bytes);
	return warden_link_ask(broker, cell->language, &request, &cell->cgroup.memory_reclaim_fd, 1, &cell->reclaim, reclaimed) ==
	    0;
}

void
cell_gone(struct broker *broker, struct cell *cell)
{
	struct run *run = cell_take_run(cell);

	if (run != NULL && run->state != RUN_LEAVING)
		run_refuse(broker, run, run_loss(run), "its cell ended before its program", 0);
	else if (run != NULL && run->is_compile)
		broker->isolation->extract(broker, cell, run);
	else if (run != NULL && run->patterns_fd >= 0)
		broker->isolation->collect(broker, cell, run);
	else if (run != NULL)
		run_answer(broker, run);
	fdpass_close(&cell->box_fd, 1);
	if (reclaim(broker, cell))
		cell_enter_state(broker, cell, CELL_RECLAIMING, clock_us() + RECLAIM_LIMIT_US);
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

void
cell_take_down(struct broker *broker, struct cell *cell)
{
	if (cell->state == CELL_ARMING)
		pool_of(cell)->arming_count--;
	loop_unwatch(&broker->loop, &cell->control);
	fdpass_close(&cell->control_fd, 1);
	fdpass_close(&cell->memory_fd, 1);
	handed_socket_forget_cell(broker, cell);
	cell_network_end(cell);
	if (cell->run == NULL || !run_needs_box(cell->run))
		fdpass_close(&cell->box_fd, 1);
	cell_enter_state(broker, cell, CELL_ENDING, clock_us() + ENDING_LIMIT_US);
	end(broker, cell);
}

/* The run that a cell was made for, if it was, cannot be started. */
static void
refuse_reserved(struct broker *broker, struct cell *cell, struct failure failure)
{
	struct run *run = cell->is_reserved ? cell_take_run(cell) : NULL;

	if (run != NULL)
		run_refuse(broker, run, REFUSED_FAULT, failure.step, failure.error);
}

void
cell_give_up(struct broker *broker, struct cell *cell)
{
	cell_unlist_armed(cell);
	refuse_reserved(broker, cell, (struct failure){ .step = "its cell was given up" });
	cell_take_down(broker, cell);
}

/* ---- arming ----------------------------------------------------------------------------------------------------- */

/* The next zygote of the pool that serves, in turn; NULL if none does. */
static struct zygote *
pick_zygote(struct language *language, uint32_t number)
{
	struct pool *pool = &language->pool[number];

	for (size_t i = 0; i < language->zygote_count; i++) {
		struct zygote *z = &language->zygote[(pool->turn + i) % language->zygote_count];

		if (z->pool == number && z->pid != 0 && z->is_verified) {
			pool->turn = z->number + 1;
			return z;
		}
	}
	return NULL;
}

bool
cell_is_suspect(const struct cell *cell, const struct pool *pool)
{
	uint32_t others_arming = pool->arming_count - (cell->state == CELL_ARMING);
	bool works = pool->armed_count > 0 || others_arming > 0 || (pool->made_us != 0 && clock_us() < pool->made_us + WORKS_US);

	return cell->failures >= SUSPECT_FAILURES && works;
}

void
cell_arming_failed(struct broker *broker, struct cell *cell, struct failure failure)
{
	bool is_suspect = cell_is_suspect(cell, pool_of(cell));

	if (cell->is_renewal) {
		/* It was not as a run may leave it. The next one in its place is made anew. */
		cell_take_down(broker, cell);
		return;
	}
	cell->failures++;
	cell->failed_us = clock_us();
	refuse_reserved(broker, cell, failure);
	if (!is_suspect)
		pool_failed(broker, cell->language, pool_of(cell), failure);
	cell_take_down(broker, cell);
}

/* The guest's report, or word of why there is none. */
static void
control_ready(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct cell *cell = watch_owner(watch, struct cell, control);
	struct guest_report report = { 0 };
	int fds[3] = { -1, -1, -1 };
	size_t count = 0;
	pid_t pid;
	ssize_t n = fdpass_recv(watch->fd, &report, sizeof report, fds, 3, &count, &pid);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (cell->state != CELL_ARMING) {
		/* An armed guest has nothing to say: it has died, and its exit comes next. */
		fdpass_close(fds, count);
		loop_unwatch(&broker->loop, watch);
		return;
	}
	if (n == (ssize_t)sizeof(struct cell_network_made) && count == 2 && cell_network_made(broker, cell, fds) == 0)
		return; /* its guest reports next */
	report.step[sizeof report.step - 1] = '\0';
	if (n != (ssize_t)sizeof report || report.error != 0 || count < 2 || pid <= 0) {
		fdpass_close(fds, count);
		cell_arming_failed(broker, cell,
		    n == (ssize_t)sizeof report && report.error != 0 ?
		        (struct failure){ report.step, report.error } :
		        (struct failure){ .step = "its warden, zygote or guest died" });
		return;
	}
	broker->isolation->armed(cell, fds);
	cell->memory_fd = fds[2];
	/* It may have died, and been reaped as an unknown child, before this was read. */
	if (kill(pid, 0) != 0) {
		cell_arming_failed(broker, cell, (struct failure){ .step = "the guest died at once" });
		return;
	}
	cell->guest_pid = pid;
	cell->failures = 0;
	pool_of(cell)->arming_count--;
	pool_recovered(pool_of(cell));
	cell->armed_us = cell->state_us;
	cell_enter_state(broker, cell, CELL_ARMED, NEVER_US);
	cell->arming_us = cell->state_us - cell->armed_us;
	cell->armed_us = cell->state_us;
	cell->was_awaited = pool_of(cell)->queued > pool_of(cell)->armed_count;
	if (!cell->is_reserved)
		list_armed(cell);
	loop_dispatch(&broker->loop);
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

/* Nothing is in the cell, so these figures stand still until the guest starts. */
static void
read_bases(const struct broker *broker, struct cell *cell)
{
	cell->processes_base = cgroup_pids_peak(&cell->cgroup);
	/* A run that was alone left a peak that says nothing wrong about the next one. */
	if (cell->processes_base > 1 && cgroup_renew_pids(&broker->cgroup, &cell->cgroup, cell->number) == 0)
		cell->processes_base = 0;
	cell->oom_base = cgroup_oom_kills(&cell->cgroup);
	cell->fork_base = cgroup_fork_refusals(&cell->cgroup);
	cell->memory_base = cgroup_memory_now_bytes(&cell->cgroup);
}

/*
 * Request the cell from the warden. The descriptors that were opened for it stay open on failure.
 */
static struct failure
request_cell(struct broker *broker, struct cell *cell, const struct zygote *zygote)
{
	struct warden_request request = { .kind = WARDEN_MAKE,
		.cell = cell->number,
		.is_renewal = cell->is_renewal,
		.zygote = zygote->number,
		.rehearses = cell->rehearses };
	int fds[3 + REQUEST_CGROUPS_MAX], guest_fd = -1, level_fd = -1, network_fd = -1;
	struct failure failure = { NULL, 0 };
	size_t count = 0;

	if (open_control(broker, cell, &guest_fd) != 0)
		failure = (struct failure){ "make its control socket", errno };
	else if ((failure.step = cell_network_prepare(broker, cell, &request.network, &network_fd)) != NULL)
		failure.error = errno;
	else if (broker->isolation->begin(broker, cell, &level_fd) != 0)
		failure = (struct failure){ "connect its reaper", errno };
	if (failure.step == NULL) {
		request.tree = cell->tree;
		fds[count++] = guest_fd;
		if (level_fd >= 0)
			fds[count++] = level_fd;
		memcpy(fds + count, cell->cgroup.join_fd, cell->cgroup.joins * sizeof *fds);
		count += cell->cgroup.joins;
		if (network_fd >= 0)
			fds[count++] = network_fd;
		if (warden_link_send(cell->language, &request, fds, count) != 0)
			failure = (struct failure){ "request it from the warden", errno };
	}
	fdpass_close(&guest_fd, 1);
	fdpass_close(&level_fd, 1);
	return failure;
}

/*
 * Returns 0, or -1 if the cell could not be requested: then its state is what it was, and that
 * counts as a failure of the pool.
 */
static int
arm(struct broker *broker, struct cell *cell, struct zygote *zygote, bool is_renewal)
{
	struct language *language = zygote->language;
	struct failure failure;

	cell->language = language;
	cell->pool = zygote->pool;
	cell->is_renewal = is_renewal;
	cell->runs = is_renewal ? cell->runs + 1 : 0;
	cell->pid_ns = 0;
	cell->is_torn = false;
	/* The self-test attacks a guest that has done all that a guest may have done. */
	cell->rehearses = cell->is_reserved || (broker_has_processor(broker) && rehearsal_pays(pool_of(cell)));
	read_bases(broker, cell);
	failure = request_cell(broker, cell, zygote);
	if (failure.step != NULL) {
		loop_unwatch(&broker->loop, &cell->control);
		broker->isolation->abandon(broker, cell);
		pool_failed(broker, language, &language->pool[zygote->pool], failure);
		return -1;
	}
	pool_of(cell)->arming_count++;
	cell_enter_state(broker, cell, CELL_ARMING, clock_us() + broker->isolation->arming_limit_us);
	return 0;
}

/* The guests of the self-test do not count: a zygote must not use itself up by its test. */
static void
count_fork(struct broker *broker, struct zygote *zygote)
{
	if (++zygote->forks == zygote->language->config->recycle_runs)
		loop_wake_at(&broker->loop, 0);
}

int
cell_arm(struct broker *broker, struct cell *cell, struct language *language, uint32_t pool)
{
	struct zygote *zygote = pick_zygote(language, pool);

	if (zygote == NULL || arm(broker, cell, zygote, false) != 0)
		return -1;
	count_fork(broker, zygote);
	return 0;
}

bool
cell_may_return(const struct broker *broker, const struct cell *cell)
{
	return !cell->is_reserved && cell->runs + 1 < broker->config->cell_runs && cell_network_may_stay(broker, cell) &&
	    broker->isolation->may_renew(broker, cell);
}

/* Whether the run has ended as programs do that leave nothing behind. */
static bool
has_ended_well(const struct cell *cell)
{
	return cell->run == NULL && cell->end == END_ITSELF && WIFEXITED(cell->wait_status) &&
	    WEXITSTATUS(cell->wait_status) != GUEST_FAILED && cell->denied.total == 0;
}

/* Whether something runs in the cell still, whose guest has ended. */
static bool
has_processes(const struct broker *broker, const struct cell *cell)
{
	return broker->cgroup.version != 0 && cgroup_pids_now(&cell->cgroup) != 0;
}

/* Whether its pool wants a cell more than any other pool does. */
static bool
is_wanted(const struct broker *broker, const struct cell *cell)
{
	const struct pool *pool = pool_of(cell);
	uint32_t others = pool->armed_count + pool->arming_count;

	if (!language_is_awake(cell->language) || pool_backs_off(pool))
		return false;
	if (broker->is_short)
		return others < pool->queued;
	return others + pool->returning <= dispatch_most_cells(cell->language, cell->pool);
}

int
cell_renew(struct broker *broker, struct cell *cell)
{
	struct zygote *zygote;
	uint64_t now_bytes;

	if (!cell->is_returning || !has_ended_well(cell) || !cell_network_may_stay(broker, cell) || !is_wanted(broker, cell) ||
	    has_processes(broker, cell) || is_to_be_reclaimed(broker, cell, &now_bytes) ||
	    (zygote = pick_zygote(cell->language, cell->pool)) == NULL)
		return -1;
	fdpass_close(&cell->control_fd, 1);
	fdpass_close(&cell->memory_fd, 1);
	if (arm(broker, cell, zygote, true) != 0)
		return -1;
	count_fork(broker, zygote);
	run_queue_forget_charge(broker, &cell->charge);
	loop_dispatch(&broker->loop);
	return 0;
}

int
cell_arm_for(struct broker *broker, struct cell *cell, struct zygote *zygote, struct run *run)
{
	cell->is_reserved = true;
	if (arm(broker, cell, zygote, false) != 0) {
		cell->is_reserved = false;
		return -1;
	}
	broker->reserved++;
	cell->run = run;
	run->cell = cell;
	return 0;
}

void
cell_reaper_lost(struct broker *broker, struct cell *cell)
{
	struct run *run = cell->state == CELL_ARMED && cell->is_reserved ? NULL : cell_take_run(cell);

	if (run != NULL)
		run_refuse(broker, run, run_loss(run), "its reaper died", 0);
	if (cell->state == CELL_ARMED)
		cell_give_up(broker, cell);
	else if (cell->state == CELL_ARMING)
		cell_arming_failed(broker, cell, (struct failure){ .step = "its reaper died" });
	/* In the others its guest is about to be killed, or comes to its end. */
}

/* ---- deadlines -------------------------------------------------------------------------------------------------- */

uint64_t
cell_check(struct broker *broker, struct cell *cell, uint64_t now_us)
{
	if (now_us < cell->check_us)
		return cell->check_us;
	switch (cell->state) {
	case CELL_ARMING:
		cell_arming_failed(broker, cell, (struct failure){ "the guest did not report in time", 0 });
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
