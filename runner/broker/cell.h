/*
 * cell.h - a cell's life: armed, given a run, ended, taken down.
 *
 *                 .-------- renewed ---.
 *                 v                     |
 *     FREE --> ARMING --> ARMED --> RUNNING --> SETTLING --> ENDING --> RECLAIMING --> FREE
 *                 \         \          \                      ^ \                       ^
 *                  `---------+----------+---------------------'  `----------------------'
 *
 *     FREE        nothing of it is there but its control group
 *     ARMING      requested from the warden; until its guest reports
 *     ARMED       its guest waits for a run
 *     RUNNING     its guest executes a run, or has announced its end, and exits
 *     SETTLING    the guest has ended; something is still to be learned before the verdict
 *     ENDING      until nothing is left in it
 *     RECLAIMING  too much is still charged to its control group: the warden empties it
 */
#ifndef CELLBLOCK_CELL_H
#define CELLBLOCK_CELL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "broker/cell_network.h"
#include "broker/cgroup.h"
#include "broker/failure.h"
#include "broker/loop.h"
#include "broker/run_queue.h"
#include "broker/verdict.h"
#include "proto.h"

struct broker;
struct language;
struct pool;
struct run;
struct zygote;

enum cell_state { CELL_FREE, CELL_ARMING, CELL_ARMED, CELL_RUNNING, CELL_SETTLING, CELL_ENDING, CELL_RECLAIMING, CELL_STATES };

struct cell {
	uint32_t number;
	enum cell_state state;
	uint64_t state_us; /* since when it is in its state */
	uint64_t check_us; /* when cell_check has something to do */
	struct cgroup_cell cgroup;

	/* From ARMING on. */
	struct language *language;
	uint32_t pool;           /* of the language */
	struct cell *next_armed; /* in that pool */
	struct watch control;    /* the guest reports here; watched until a run is handed over */
	int control_fd;          /* the same after that: a guest that fails before its program starts reports here; -1: none */
	pid_t guest_pid;         /* our child; 0: none, or not known yet */
	uint64_t armed_us;       /* when it was armed */
	uint64_t arming_us;      /* how long that took */
	bool rehearses;          /* its guest does, before it is armed */
	bool was_awaited;        /* a run waited when it was armed */
	struct cell_net net;     /* its network */
	int box_fd;              /* the working directory; -1: none */
	int memory_fd;           /* the guest_memory of its guest; -1: none */
	uint64_t pid_ns;         /* level namespaces: the inode of its pid namespace; 0: not asked for yet */
	uint64_t meminfo_bytes;  /* level namespaces: what its /proc/meminfo says; kept from one life to the next */
	int init_fd;             /* level namespaces: pidfd of the init, until it is watched; -1: none */
	struct watch init;       /* level namespaces: the same, watched; it can be read when the init is gone */
	uint32_t runs;           /* before this one, since it was made */
	bool is_renewal;         /* it was not made for this run, but emptied */
	bool is_torn;            /* level namespaces: its warden has died, and so has its init, unless that was new */
	struct watch reaper;     /* level chroot: the connection to the cell's reaper */
	uint32_t tree;           /* level chroot: the number of its tree */

	/* From RUNNING on; for a cell that is made for one run only, from ARMING on. */
	struct run *run;          /* NULL: none, or nobody waits for its result any more */
	uint32_t proxy;           /* of `run`, an index into config->proxy */
	bool is_reserved;         /* made for `run`, and in no pool */
	bool is_returning;        /* RUNNING: it is expected to serve its pool again */
	bool is_crowded;          /* what earlier runs left charged to its control group was in the way of a run */
	struct run_charge charge; /* until the cell is free */
	struct run_limits limits;
	enum run_end end; /* why the broker ended the run */
	enum disk_full disk_full;
	int wait_status;         /* of the guest, when it has ended */
	struct rusage usage;     /* of the guest, when it has ended */
	uint64_t ended_us;       /* when the guest ended */
	uint64_t spawn_us;       /* how long it took to hand the run over */
	uint64_t wall_limit_us;  /* RUNNING: limits.wall_ms, stretched by what the run had to wait; see stall.h */
	uint64_t stall_us;       /* that wait, as of the last look at it */
	uint64_t waiting_cpu_us; /* the time that it had used when it seemed to wait, after its limit; UINT64_MAX: it does not */
	bool is_starved;         /* it waited for longer than its limit could be stretched */
	uint64_t cpu_base_us;    /* figures of the control group from before the run */
	uint64_t oom_base;
	uint64_t fork_base;
	uint64_t processes_base;
	uint64_t memory_base;   /* file pages that the group is still charged for */
	uint64_t waiting_bytes; /* the charge of a guest with a memory_fd, while it waits for the run */
	struct denied_calls denied;
	uint64_t denied_until_us, asked_until_us; /* of seccomp_notify.c */
	unsigned netlink_sockets;                 /* that the run was let make */

	struct watch reclaim; /* RECLAIMING: where the warden answers */
	unsigned failures;    /* to make it, in a row */
	uint64_t failed_us;   /* the last time */
};

/* Make a struct cell free. Its control group is cgroup_no_cell. */
void cell_init(struct cell *cell, uint32_t number);

/*
 * Whether something is under way in the cell that must come to an end before its language can
 * sleep.
 */
bool cell_is_busy(const struct cell *cell);

/*
 * Whether it is the cell's fault that it could not be made several times, rather than the pool's,
 * which has others, or is making them. The failures of such a cell do not count for the pool.
 */
bool cell_is_suspect(const struct cell *cell, const struct pool *pool);

/*
 * Make a free cell ready for a pool of `language`. Returns 0 if it is under way, -1 if not: no
 * zygote of the pool serves, or the cell could not even be requested, which counts as a failure of
 * the pool.
 */
int cell_arm(struct broker *broker, struct cell *cell, struct language *language, uint32_t pool);

/*
 * Make a free cell ready by this very zygote for one run, which need not be verified. Returns 0 if
 * it is under way: the run is started by the dispatcher, or refused. Returns -1 if it could not be
 * requested, which counts as a failure of the pool.
 */
int cell_arm_for(struct broker *broker, struct cell *cell, struct zygote *zygote, struct run *run);

/* Whether the cell of a run that starts may serve another one, if the run leaves it in order. */
bool cell_may_return(const struct broker *broker, const struct cell *cell);

/* The run has done something that rules that out. */
void cell_will_not_return(struct cell *cell);

/*
 * A run has ended: have its cell emptied and armed for the next run of the pool. Returns 0 if that
 * is under way. Returns -1 if the cell is not to serve again, or its pool has enough cells: then
 * the caller takes it down.
 */
int cell_renew(struct broker *broker, struct cell *cell);

/* Take down an armed cell, unused. */
void cell_give_up(struct broker *broker, struct cell *cell);

/* Look at the deadlines of a cell without a run. Returns when to look again. */
uint64_t cell_check(struct broker *broker, struct cell *cell, uint64_t now_us);

/* ---- for cell_run.c ---- */

/* Change the state. `check_us`: when cell_check has something to do. */
void cell_enter_state(struct broker *broker, struct cell *cell, enum cell_state state, uint64_t check_us);

/* Take an armed cell out of the list of its pool. */
void cell_unlist_armed(struct cell *cell);

/* Part a cell from its run. Returns the run, or NULL if it has none. */
struct run *cell_take_run(struct cell *cell);

/* Take down a cell that is in no list. */
void cell_take_down(struct broker *broker, struct cell *cell);

/* ---- for isolation_*.c ---- */

/* The cell could not be made. */
void cell_arming_failed(struct broker *broker, struct cell *cell, struct failure failure);

/* CELL_ENDING: nothing is left in the cell. */
void cell_gone(struct broker *broker, struct cell *cell);

/*
 * Its reaper has died while processes of the cell are alive: fail its run, and wait for the end of
 * the cell.
 */
void cell_reaper_lost(struct broker *broker, struct cell *cell);

#endif
