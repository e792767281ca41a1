/*
 * run.h - a run: one execution of one program in one cell, from the request for it to its answer.
 *
 * Workers' connections make runs (client.c), and so does the self-test (selftest.c). The rest of
 * the broker does not know which: it answers a run through the functions of its owner.
 *
 *     RUN_IDLE --> RUN_QUEUED --> RUN_STARTED --> RUN_LEAVING --> RUN_IDLE, and answered
 *         \                        ^       \                        ^
 *          `-- has its own cell ---'        `-----------------------'
 *
 * RUN_LEAVING: the result is known, and is given when nothing is left in the cell. A compilation's
 * output is extracted then, files are collected, and the self-test looks at the empty cell.
 */
#ifndef CELLBLOCK_RUN_H
#define CELLBLOCK_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "broker/loop.h"
#include "proto.h"

#define RUN_FDS 4 /* of a run: its job, stdout, stderr, stdin */

struct broker;
struct cell;
struct key_account;
struct language;
struct run;

TAILQ_HEAD(run_list, run);

enum run_state {
	RUN_IDLE,
	RUN_QUEUED,
	RUN_STARTED,
	RUN_LEAVING,
};

/* Where a queued run is; see run_queue.h. */
enum run_place {
	PLACE_NONE,
	PLACE_HELD,
	PLACE_LISTED,
	PLACE_PARKED,
	PLACE_ADMITTED,
};

/*
 * How a run is answered. Both functions are called with the run in RUN_IDLE and its descriptors
 * closed.
 */
struct run_owner {
	/*
	 * It has come to an end: run->result. A compilation's output is run->program_fd. Collected
	 * files are run->files_fd, which the owner closes.
	 */
	void (*ended)(struct broker *broker, struct run *run);
	/* It was not carried out. `retry_ms`: when it may be tried again; 0: unknown. */
	void (*refused)(struct broker *broker, struct run *run, enum refusal refusal, uint32_t retry_ms);
	/*
	 * Its own cell is armed. Returns 0, or -1 with errno if the run is not to start. NULL for
	 * runs that wait in the queue.
	 */
	int (*armed)(struct broker *broker, struct run *run);
	/* It was handed to a guest. Called for a run that is followed; else it may be NULL. */
	void (*started)(struct broker *broker, struct run *run, uint64_t queue_us, uint64_t spawn_us);
};

struct run {
	const struct run_owner *owner;
	enum run_state state;
	struct language *language;
	uint32_t pool; /* of the language, whose cells suit the run */
	struct run_limits limits;
	uint32_t proxy;  /* an index into config->proxy */
	uint32_t pair;   /* as in struct proto_request */
	uint32_t attack; /* enum attack_kind: of the self-test */
	bool is_compile;
	bool is_followed; /* its owner wants to know when it starts */
	int fds[RUN_FDS]; /* job, stdout, stderr, stdin; the broker's until they are handed to the guest */
	size_t fd_count;
	int patterns_fd;    /* of the files to collect at the end; -1: none */
	int pack_fd;        /* of its job (job.h), until it is handed to the guest; -1: none */
	int files_fd;       /* those files, if they could be collected; -1: none */
	int program_fd;     /* the compiled program to run, or a compilation's output; -1: none */
	uint64_t queued_us; /* since when it waits, which may be before it came here */
	struct cell *cell;  /* NULL: none yet, or no more */
	struct run_result result;
	struct watch extraction; /* where the warden reports a compilation's output, or the collected files */

	/* For run_queue.c. */
	struct key_account *account; /* of its key; held. NULL: a run of the self-test */
	uint64_t deadline_us;        /* it is refused if it has not started by then */
	uint64_t blocked_us;         /* since when it would have its turn, but for memory; 0: it is not so */
	uint64_t order;              /* its number among all that were queued */
	uint64_t charged_bytes;      /* of the memory budget, until a cell takes them over; 0: none */
	bool is_running;             /* it counts as a running one of its key */
	enum run_place place;
	struct run *partner;      /* that starts together with it; NULL: none, or it has not come */
	uint32_t heap_at;         /* its place in the heap of deadlines */
	TAILQ_ENTRY(run) in_list; /* that of its place */
};

/* Whether the working directory of its cell is needed when nothing is left in the cell. */
static inline bool
run_needs_box(const struct run *run)
{
	return run->state == RUN_LEAVING && (run->is_compile || run->patterns_fd >= 0);
}

/*
 * How to refuse a run whose cell was destroyed after the hand-over. Its program may have begun; one
 * that was being compiled had not.
 */
enum refusal run_loss(const struct run *run);

/* Give a result to the owner of a run that no cell has any more. */
void run_answer(struct broker *broker, struct run *run);

/*
 * Tell the owner of a run that is in no queue and no cell that it is not carried out, and log why:
 * `step`, and `error`, an errno or 0.
 */
void run_refuse(struct broker *broker, struct run *run, enum refusal refusal, const char *step, int error);

/*
 * The same for a run that may be tried again after `retry_ms`, of which its key or the queue is the
 * reason; 0: unknown.
 */
void run_refuse_for_now(struct broker *broker, struct run *run, enum refusal refusal, const char *step, uint32_t retry_ms);

/* Forget a run whose owner goes away. It is in no queue and no cell. */
void run_drop(struct broker *broker, struct run *run);

#endif
