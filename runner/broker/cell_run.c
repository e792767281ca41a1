/* cell_run.c - see cell_run.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/cell_run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/dispatch.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "broker/run.h"
#include "broker/stretch.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"

#define KILLED_LIMIT_US 10000000u /* for a killed guest to be reaped, before it is looked at again */
#define LAST_WORDS_US 50000u      /* for a guest to write what it has in its buffers */
#define EXIT_LIMIT_US 100000u     /* for a guest that has announced its end to exit */
#define CPU_CHECK_MIN_US 5000u
#define CPU_RLIMIT_SPARE_S 2u
#define THREAD_STACK_BYTES (UINT64_C(8) << 20)
#define SMALL_REST_BYTES (UINT64_C(1) << 20) /* of earlier runs, not worth another look */

/* ---- the start of a run ----------------------------------------------------------------------------------------- */

/* CPU time of the guest alone, its threads included. */
static uint64_t
guest_cpu_us(const struct cell *cell)
{
	/*
	 * The kernel's encoding of "CPU clock of process N"; clock_getcpuclockid(3) would make the
	 * same and check more.
	 */
	clockid_t clock = (clockid_t)((~(unsigned)cell->guest_pid << 3) | 2u);
	struct timespec t;

	return clock_gettime(clock, &t) != 0 ? 0 : (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/*
 * CPU time of all that is in the cell. One process is asked directly, which is cheaper; more need
 * the control group.
 */
uint64_t
cell_run_cpu_us(const struct broker *broker, const struct cell *cell)
{
	if (cell->limits.processes == 1 || broker->cgroup.version == 0)
		return guest_cpu_us(cell);
	return cgroup_cpu_us(&broker->cgroup, &cell->cgroup);
}

enum room {
	ROOM_ENOUGH,
	ROOM_CROWDED,   /* by what earlier runs left */
	ROOM_TOO_SMALL, /* the waiting guest alone is over the limit */
};

/*
 * Whether the memory limit can be set. A limit below what is in use would have the kernel reclaim,
 * and its writer wait: so such a limit is not written at all.
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

static uint64_t
least_bytes(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* All that must be in force before the guest gets its code. */
static struct failure
prepare_run(struct broker *broker, struct cell *cell)
{
	/* The kernel frees the files of an earlier run some time after its end. */
	if (broker->cgroup.version != 0 && cell->memory_base > SMALL_REST_BYTES)
		cell->memory_base = least_bytes(cell->memory_base, cgroup_memory_now_bytes(&cell->cgroup));
	if (broker->cgroup.version != 0 &&
	    cgroup_limit(&cell->cgroup, cell->limits.memory_bytes, run_limits_tasks(&cell->limits)) != 0)
		return (struct failure){ "set the limits of its control group", errno };
	if (cell->memory_fd >= 0 && broker->cgroup.version != 0)
		cell->waiting_bytes = cgroup_memory_now_bytes(&cell->cgroup);
	if (broker->isolation->start(broker, cell) != 0)
		return (struct failure){ "set the size of its disk and memory", errno };
	return (struct failure){ NULL, 0 };
}

/* Returns the failure, if it fails. */
static struct failure
hand_over(struct broker *broker, const struct cell *cell, const struct run *run)
{
	const struct run_limits *limits = &cell->limits;
	struct guest_start start = { .has_stdin = run->fd_count == 4,
		.has_output = run->program_fd >= 0,
		.is_compile = run->is_compile,
		.attack = run->attack,
		.cpu_seconds = (limits->cpu_ms + 999) / 1000 + CPU_RLIMIT_SPARE_S,
		.open_files = limits->open_files,
		.memory_bytes = limits->memory_bytes,
		.stack_bytes = limits->stack_bytes,
		.has_pack = run->pack_fd >= 0,
		/* Else the client's next run would only compete with the end of this one. */
		.announces = broker_has_processor(broker) };
	int fds[RUN_FDS + 2];

	if (broker->cgroup.version == 0) {
		start.data_bytes = limits->memory_bytes;
		start.tasks = run_limits_tasks(limits);
		/* libc makes each thread's stack as large as this, and all of it counts as data. */
		if (start.stack_bytes >= limits->memory_bytes)
			start.stack_bytes = limits->memory_bytes < THREAD_STACK_BYTES ? limits->memory_bytes : THREAD_STACK_BYTES;
	}
	if (broker->isolation->files_are_on_host)
		start.file_bytes = limits->disk_bytes;
	memcpy(fds, run->fds, run->fd_count * sizeof *fds);
	fds[run->fd_count] = run->program_fd;
	fds[run->fd_count + start.has_output] = run->pack_fd;
	if (fdpass_send(cell->control.fd, &start, sizeof start, fds, run->fd_count + start.has_output + start.has_pack) != 0)
		return (struct failure){ "hand it to its guest", errno };
	return (struct failure){ NULL, 0 };
}

/*
 * Whether a failure is the cell's, which has died or is too full: the run has lost nothing, and can
 * take another cell.
 */
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
		cell_take_run(cell);
	if (!is_lost)
		run_refuse(broker, run, REFUSED_FAULT, failure.step, failure.error);
	cell_take_down(broker, cell);
	return is_lost ? CELL_UNUSABLE : CELL_STARTED;
}

enum cell_start
cell_run_start(struct broker *broker, struct cell *cell, struct run *run)
{
	uint64_t began_us = clock_us(), handed_us;
	struct failure failure = { NULL, 0 };
	enum room room;

	cell_unlist_armed(cell);
	if (!cell->is_reserved)
		rehearsal_taken(&cell->language->pool[cell->pool],
		    (struct rehearsal_guest){ cell->rehearses, cell->was_awaited, cell->arming_us, began_us - cell->armed_us });
	cell->limits = run->limits;
	cell->proxy = run->proxy;
	cell->end = END_ITSELF;
	cell->disk_full = DISK_FULL_NOT;
	cell->denied = (struct denied_calls){ .total = 0 };
	cell->denied_until_us = 0;
	cell->asked_until_us = 0;
	cell->netlink_sockets = 0;
	stretch_begin(cell);
	room = broker->cgroup.version == 0 ? ROOM_ENOUGH : find_room(cell);
	if (room == ROOM_TOO_SMALL) {
		run->result = (struct run_result){ .verdict = VERDICT_MEMORY_LIMIT, .exit_code = -1 };
		cell_take_run(cell);
		run_answer(broker, run);
		cell_take_down(broker, cell);
		return CELL_STARTED;
	}
	failure = room == ROOM_CROWDED ? (struct failure){ "find room in its control group", EBUSY } : prepare_run(broker, cell);
	cell->cpu_base_us = cell_run_cpu_us(broker, cell);
	/* Before, not after: the guest may be done by the time that we are back. */
	handed_us = clock_us();
	if (failure.step == NULL)
		failure = hand_over(broker, cell, run);
	if (failure.step != NULL)
		return refuse_start(broker, cell, run, failure);
	cell->control_fd = poller_release(&broker->loop.poller, &cell->control);
	fdpass_close(run->fds, run->fd_count);
	fdpass_close(&run->program_fd, 1);
	fdpass_close(&run->pack_fd, 1);
	run->fd_count = 0;
	run->state = RUN_STARTED;
	run->cell = cell;
	cell->run = run;
	run_queue_hand_over(run, &cell->charge);
	cell->spawn_us = handed_us - began_us;
	cell_enter_state(broker, cell, CELL_RUNNING,
	    handed_us + earlier_us(run->limits.wall_ms * 1000, cpu_left_us(broker, cell, 0)));
	cell->state_us = handed_us;
	if (cell_may_return(broker, cell)) {
		cell->is_returning = true;
		cell->language->pool[cell->pool].returning++;
		dispatch_count_demand(broker, &cell->language->pool[cell->pool], handed_us);
	}
	broker->running++;
	if (run->is_followed)
		run->owner->started(broker, run, handed_us - cell->spawn_us - run->queued_us, cell->spawn_us);
	return CELL_STARTED;
}

/* ---- the end of a run ------------------------------------------------------------------------------------------- */

/* The network that the cell's program had. */
static enum network
network_of(const struct broker *broker, const struct cell *cell)
{
	if ((cell->pool % GRANT_COUNT & GRANT_LOOPBACK) != 0)
		return NETWORK_LOOPBACK;
	return (cell->pool % GRANT_COUNT & GRANT_NETWORK) != 0 ? broker->config->network : NETWORK_NONE;
}

static uint64_t
usage_cpu_us(const struct rusage *usage)
{
	return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000u +
	    (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/*
 * Whether the guest found, after it had got its run, that one of its layers could not be put up.
 * The program has not started then, and could not have written this: the guest closes its end
 * before.
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

/*
 * The most that the control group was charged for. Memory that earlier runs left counts as theirs.
 * Where the limit was met, the kernel has reclaimed that first, and the run had all of it.
 */
static uint64_t
group_peak_bytes(const struct cell *cell, bool out_of_memory)
{
	uint64_t peak = cgroup_memory_peak_bytes(&cell->cgroup);

	if (out_of_memory)
		return peak;
	return peak > cell->memory_base ? peak - cell->memory_base : 0;
}

/*
 * The largest resident set of the guest, or the one that it would have had without a zygote which
 * has imported more. The program can write to the tally. It cannot hide what its group is charged
 * for.
 */
static uint64_t
resident_bytes(const struct cell *cell)
{
	uint64_t resident = (uint64_t)cell->usage.ru_maxrss * 1024u, own;
	uint64_t charged = cell->memory_fd < 0 ? 0 : cgroup_memory_peak_bytes(&cell->cgroup);
	struct guest_memory memory;

	if (charged == 0 || pread(cell->memory_fd, &memory, sizeof memory, 0) != (ssize_t)sizeof memory || memory.cold_bytes == 0)
		return resident;
	own = resident > memory.inherited_bytes ? resident - memory.inherited_bytes : 0;
	return memory.cold_bytes + least_bytes(own, charged > cell->waiting_bytes ? charged - cell->waiting_bytes : 0);
}

static void
measure(struct broker *broker, const struct cell *cell, const struct run *run, struct run_facts *facts, struct run_result *result)
{
	uint64_t resident,
	    cpu_us = cell->limits.processes == 1 || broker->cgroup.version == 0 ? usage_cpu_us(&cell->usage) :
	                                                                          cell_run_cpu_us(broker, cell);

	result->wall_us = cell->ended_us - cell->state_us;
	result->stall_us = cell->stall_us;
	result->was_starved = cell->end == END_WALL && cell->is_starved;
	result->queue_us = cell->state_us - cell->spawn_us - run->queued_us;
	result->cpu_us = facts->cpu_us = cpu_us > cell->cpu_base_us ? cpu_us - cell->cpu_base_us : 0;
	if (broker->cgroup.version != 0) {
		result->memory_peak_bytes = group_peak_bytes(cell, facts->out_of_memory);
		result->processes_peak = (uint32_t)cgroup_pids_peak(&cell->cgroup);
		/* The peak of an earlier run hides that of this one: the number is not known. */
		if (result->processes_peak <= cell->processes_base && cell->processes_base > 1)
			result->processes_peak = 0;
	}
	/*
	 * The group is charged for the files that the program made, and for all of its processes.
	 * The largest process also uses pages that it shares with others, such as its libraries.
	 */
	resident = resident_bytes(cell);
	if (result->memory_peak_bytes < resident)
		result->memory_peak_bytes = resident;
	/* Pages that others are charged for, such as files, are under no limit of this run. */
	if (broker->cgroup.version != 0 && result->memory_peak_bytes > cell->limits.memory_bytes)
		result->memory_peak_bytes = cell->limits.memory_bytes;
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
		cell_take_run(cell);
		run_refuse(broker, run, REFUSED_FAULT, report.step, report.error);
		return;
	}
	run->result = (struct run_result){ .network = network_of(broker, cell),
		.spawn_us = cell->spawn_us,
		.denied = cell->denied };
	/* These only explain a failure. */
	if (!is_good && broker->cgroup.version != 0) {
		facts.out_of_memory = cgroup_oom_kills(&cell->cgroup) > cell->oom_base;
		facts.fork_refused = cgroup_fork_refusals(&cell->cgroup) > cell->fork_base;
	}
	measure(broker, cell, run, &facts, &run->result);
	if (!is_good)
		facts.disk_full = cell->disk_full != DISK_FULL_NOT ? cell->disk_full : broker->isolation->disk_full(cell);
	verdict_judge(&facts, &run->result);
	/* Nobody waits for the files of a run that its client has given up. */
	if (run->result.verdict == VERDICT_CANCELLED)
		fdpass_close(&run->patterns_fd, 1);
	if (cell->is_reserved || (run->is_compile && run->result.verdict == VERDICT_OK) || run->patterns_fd >= 0) {
		run->state = RUN_LEAVING;
		return;
	}
	cell_take_run(cell);
	run_answer(broker, run);
}

void
cell_run_settled(struct broker *broker, struct cell *cell)
{
	if (cell->run != NULL)
		finish_run(broker, cell);
	if (cell_renew(broker, cell) != 0)
		cell_take_down(broker, cell);
}

bool
cell_run_announced(struct broker *broker, struct cell *cell, int status, uint64_t resident_kib)
{
	const struct run *run = cell->run;
	uint64_t cpu_us;

	/* The end explains a failure, and has the time of processes that no group counts. */
	if (cell->state != CELL_RUNNING || run == NULL || cell->end != END_ITSELF || status != 0 || cell->is_reserved ||
	    run->is_compile || run->patterns_fd >= 0 || (broker->cgroup.version == 0 && cell->limits.processes > 1))
		return false;
	cpu_us = cell_run_cpu_us(broker, cell);
	cell->wait_status = 0;
	cell->usage = (struct rusage){ .ru_utime = { (time_t)(cpu_us / 1000000u), (suseconds_t)(cpu_us % 1000000u) },
		.ru_maxrss = (long)least_bytes(resident_kib, cell->limits.memory_bytes / 1024u) };
	cell->ended_us = clock_us();
	finish_run(broker, cell);
	cell->check_us = cell->ended_us + EXIT_LIMIT_US;
	loop_wake_at(&broker->loop, cell->check_us);
	return true;
}

void
cell_run_guest_exited(struct broker *broker, struct cell *cell, int wait_status, const struct rusage *usage)
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

			cell_enter_state(broker, cell, CELL_SETTLING, check_us);
			cell->state_us = began_us; /* the run's, until its result */
		} else {
			cell_run_settled(broker, cell);
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
	struct run *run = cell_take_run(cell);

	log_warn("%s: cell %u: %s", cell->language->config->name, cell->number, why);
	if (run != NULL)
		run_refuse(broker, run, run_loss(run), why, 0);
}

void
cell_run_end(struct broker *broker, struct cell *cell, enum run_end why)
{
	if (cell->state != CELL_RUNNING || cell->end != END_ITSELF)
		return;
	cell->end = why;
	broker->isolation->kill(cell);
}

void
cell_run_drop(struct broker *broker, struct cell *cell)
{
	cell_take_run(cell);
	cell_run_end(broker, cell, END_CLIENT_GONE);
}

/* ---- deadlines -------------------------------------------------------------------------------------------------- */

static bool
has_exited(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid &&
	    info.si_code == CLD_EXITED;
}

/*
 * The time of a run is up. What it has printed stays, also if it is still in a buffer of its
 * interpreter, which a kill would take. Only the guest is asked; nobody waits for it for long, and
 * whatever it does now comes too late. A program that exits at the very moment its deadline strikes
 * has won the race.
 */
static void
end_late(struct broker *broker, struct cell *cell, enum run_end why, uint64_t now_us)
{
	if (has_exited(cell->guest_pid))
		return;
	if (kill(cell->guest_pid, GUEST_LAST_WORDS) != 0) {
		cell_run_end(broker, cell, why);
		return;
	}
	cell->end = why;
	cell->check_us = now_us + LAST_WORDS_US;
}

static void
check_run(struct broker *broker, struct cell *cell, uint64_t now_us)
{
	uint64_t wall_us = now_us - cell->state_us;
	uint64_t cpu_us = cell_run_cpu_us(broker, cell) - cell->cpu_base_us;
	uint64_t left_us;

	cell->check_us = now_us + KILLED_LIMIT_US;
	if (cell->end != END_ITSELF || cell->run == NULL) {
		broker->isolation->kill(cell); /* it was asked to end, did not die when it was killed, or goes on after its end */
	} else if (wall_us >= cell->wall_limit_us && !stretch_wall_limit(broker, cell, wall_us, cpu_us)) {
		end_late(broker, cell, END_WALL, now_us);
	} else if (cpu_us >= cell->limits.cpu_ms * 1000) {
		end_late(broker, cell, END_CPU, now_us);
	} else {
		/*
		 * CPU time runs no faster than the cell's share of it, so it cannot be used up
		 * before then.
		 */
		left_us = cpu_left_us(broker, cell, cpu_us);
		left_us = left_us > CPU_CHECK_MIN_US ? left_us : CPU_CHECK_MIN_US;
		cell->check_us = now_us + earlier_us(left_us, cell->wall_limit_us - wall_us);
	}
}

uint64_t
cell_run_check(struct broker *broker, struct cell *cell, uint64_t now_us)
{
	if (now_us >= cell->check_us && cell->state == CELL_RUNNING)
		check_run(broker, cell, now_us);
	else if (now_us >= cell->check_us && cell->state == CELL_SETTLING)
		cell_run_settled(broker, cell);
	else
		return cell_check(broker, cell, now_us);
	return cell->check_us;
}
