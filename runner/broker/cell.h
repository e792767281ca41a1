/*
 * cell.h - a cell's life: armed, given a run, ended, taken down.
 *
 *     FREE --> ARMING --> ARMED --> RUNNING --> SETTLING --> ENDING --> RECLAIMING --> FREE
 *               |  |        |          `-----------------------^  |                      ^
 *               |  `--------+----------------------------------^  `----------------------|
 *               `------------------------------------------------------------------------'
 *
 *     FREE        nothing of it is there but its control group
 *     ARMING      ordered from the warden; until its guest reports
 *     ARMED       its guest waits for a run
 *     RUNNING     its guest executes a run
 *     SETTLING    the guest has ended; something is still to be learned before the verdict
 *     ENDING      until nothing is left in it
 *     RECLAIMING  its control group is still charged for more than the next run should find there: the warden empties it
 */
#ifndef CELLBLOCK_CELL_H
#define CELLBLOCK_CELL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "broker/cgroup.h"
#include "broker/failure.h"
#include "broker/loop.h"
#include "broker/verdict.h"
#include "proto.h"

struct broker;
struct language;
struct run;
struct zygote;

enum cell_state {
	CELL_FREE,
	CELL_ARMING,
	CELL_ARMED,
	CELL_RUNNING,
	CELL_SETTLING,
	CELL_ENDING,
	CELL_RECLAIMING,
	CELL_STATES
};

struct cell {
	uint32_t number;
	enum cell_state state;
	uint64_t state_us; /* since when it is in its state */
	uint64_t check_us; /* when cell_check has something to do */
	struct cgroup_cell cgroup;

	/* From ARMING on. */
	struct language *language;
	uint32_t pool;            /* of the language */
	struct cell *next_armed;  /* in that pool */
	struct watch control;     /* the guest reports here; watched until a run is handed over */
	int control_fd;           /* the same after that: a guest that fails before its program starts reports here; -1: none */
	pid_t guest_pid;          /* our child; 0: none, or not known yet */
	int link_fd;              /* to the relay; all that the relay has of the cell ends when this is closed; -1: none */
	int box_fd;               /* the working directory; -1: none */
	int init_fd;              /* level namespaces: pidfd of the init, until it is watched; -1: none */
	struct watch init;        /* level namespaces: the same, watched; it can be read when the init is gone */
	struct watch reaper;      /* level chroot: the connection to the cell's reaper */
	uint32_t tree;            /* level chroot: the number of its tree */

	/* From RUNNING on; for a cell that is made for one run only, from ARMING on. */
	struct run *run;      /* NULL: none, or nobody waits for its result any more */
	bool is_reserved;     /* made for `run`, and in no pool */
	bool is_crowded;      /* what earlier runs left charged to its control group was in the way of a run */
	struct run_limits limits;
	enum run_end end;     /* why the broker ended the run */
	bool is_disk_full;
	int wait_status;      /* of the guest, when it has ended */
	struct rusage usage;  /* of the guest, when it has ended */
	uint64_t ended_us;    /* when the guest ended */
	uint64_t spawn_us;    /* how long it took to hand the run over */
	uint64_t cpu_base_us; /* figures of the control group from before the run */
	uint64_t oom_base;
	uint64_t fork_base;
	uint64_t processes_base;
	uint64_t memory_base; /* file pages that the group is still charged for */
	struct denied_calls denied;

	struct watch reclaim; /* RECLAIMING: where the warden answers */
	unsigned failures;    /* to make it, in a row */
	uint64_t aside_us;    /* it is not used before, if others can be */
};

/* How cell_start_run went. */
enum cell_start {
	CELL_STARTED,  /* or answered: the run is the dispatcher's no more */
	CELL_UNUSABLE, /* the cell is taken down; the run can take another one */
};

/* Make a struct cell free. Its control group is cgroup_no_cell. */
void cell_init(struct cell *cell, uint32_t number);

/* Whether something is under way in the cell that must come to an end before its language can sleep. */
bool cell_is_busy(const struct cell *cell);

/*
 * Make a free cell ready for a pool of `language`. Returns 0 if it is under way, -1 if not: no zygote of the pool serves, or
 * the cell could not even be ordered, which counts as a failure of the pool.
 */
int cell_arm(struct broker *broker, struct cell *cell, struct language *language, uint32_t pool);

/*
 * Make a free cell ready by this very zygote for one run, which need not be proved. Returns 0 if it is under way: the run is
 * started by the dispatcher, or refused. Returns -1 if it could not be ordered, which counts as a failure of the pool.
 */
int cell_arm_for(struct broker *broker, struct cell *cell, struct zygote *zygote, struct run *run);

/* Hand a run, which is in no queue any more, to an armed cell. */
enum cell_start cell_start_run(struct broker *broker, struct cell *cell, struct run *run);

/* End a run before its own end. Its result is sent when its guest is dead. */
void cell_end_run(struct broker *broker, struct cell *cell, enum run_end why);

/* The run's owner goes away: nobody waits for the result any more. Ends the run. */
void cell_drop_run(struct broker *broker, struct cell *cell);

/* Take down an armed cell, unused. */
void cell_give_up(struct broker *broker, struct cell *cell);

/* The cell's guest has died and been reaped. */
void cell_guest_exited(struct broker *broker, struct cell *cell, int wait_status, const struct rusage *usage);

/* Look at the cell's deadlines. Returns when to look again. */
uint64_t cell_check(struct broker *broker, struct cell *cell, uint64_t now_us);

/* ---- for isolation_*.c ---- */

/* The cell could not be made. */
void cell_arming_failed(struct broker *broker, struct cell *cell, struct failure failure);

/* CELL_SETTLING: all is known that the verdict needs. */
void cell_settled(struct broker *broker, struct cell *cell);

/* The cell was killed as a whole while a run was in it: that is no end of the run's own. Logs `why`. */
void cell_run_lost(struct broker *broker, struct cell *cell, const char *why);

/* CELL_ENDING: nothing is left in the cell. */
void cell_gone(struct broker *broker, struct cell *cell);

/* Its reaper has died while processes of the cell are alive: fail its run, and wait for the end of the cell. */
void cell_reaper_lost(struct broker *broker, struct cell *cell);

#endif
