/*
 * run_queue.h - the runs that wait for a cell: which one is next, and how long each may wait.
 *
 *                   .--> HELD ----.
 *                   |             |
 *                   |--> PARKED --|      .--> out: refused, cancelled
 *     offered ------|             |     |
 *                   `--> LISTED <-'-----'
 *                          |
 *                       ADMITTED --> started in a cell of its pool
 *
 *     HELD      the first of a pair: it is admitted together with its partner, which is listed
 *     LISTED    in the list of its key, first come first served
 *     PARKED    nothing serves its pool yet: others of its key pass
 *     ADMITTED  the next armed cell of its pool is its own
 *
 * As many runs are admitted as cells can be had for. The keys take turns, each as often as its
 * weight says (deficit round robin). A key is left out while it runs as many as it may; no key may
 * have the cells of the reserve.
 *
 * Admitted runs and cells in use have their memory limits charged to the budget. A run that does
 * not fit lets others pass that do. When it has waited so for some time, what it needs is kept free
 * for it.
 *
 * The two runs of a pair talk to each other, and each has a cell only if both have. So pairs cannot
 * wait for each other's cells. A cell may stay free until there is a second one.
 *
 * A run is refused when its deadline comes, or before that when the pace of the queue says that it
 * cannot start in time. A full queue refuses the last run of the key that has the most in it.
 */
#ifndef CELLBLOCK_RUN_QUEUE_H
#define CELLBLOCK_RUN_QUEUE_H

#include <stdint.h>

#include "broker/deadline_heap.h"
#include "broker/key_account.h"
#include "broker/pace.h"
#include "broker/run.h"

struct broker;
struct language;
struct pool;

TAILQ_HEAD(key_ring, key_account);

struct run_queue {
	struct deadline_heap deadlines; /* all runs that wait */
	struct key_ring ring;           /* the accounts with listed runs, in their turns */
	struct key_ring resting;        /* those of them that run as many as they may */
	struct run_list held;           /* of all keys */
	uint32_t listed;
	uint32_t parked;
	uint32_t admitted;
	uint64_t weights; /* of the accounts with listed runs */
	uint64_t charged_bytes;
	struct run *aged; /* the run for which memory is kept free; NULL: none */
	uint64_t age_us;  /* when the next one is to be found */
	uint64_t look_us; /* when to look for runs that cannot start in time */
	uint64_t last_order;
	struct pace pace;
};

/* The charge for a cell while it is used. */
struct run_charge {
	struct key_account *account; /* held; NULL: nothing is charged */
	uint64_t bytes;
};

/* Prepare the queue, and the lists of the pools. Dies if there is no memory. */
void run_queue_init(struct broker *broker);

/* The number of runs that wait. */
static inline uint32_t
run_queue_count(const struct run_queue *queue)
{
	return queue->deadlines.count;
}

/*
 * Queue a run, whose account is held for it, or refuse it. `queue_ms`: its longest wait; 0, or too
 * much: that of the configuration. It has waited for `waited_us` of that. Returns whether it is in
 * the queue.
 */
bool run_queue_offer(struct broker *broker, struct run *run, uint64_t queue_ms, uint64_t waited_us);

/* Admit the runs that are next, as far as there can be cells and memory for them. */
void run_queue_admit(struct broker *broker);

/* The first admitted run of a pool, or NULL. */
struct run *run_queue_first(const struct pool *pool);

/* Put an admitted run that was taken out back: it is the next one of its pool again. */
void run_queue_restore(struct broker *broker, struct run *run);

/* Take a run out, wherever it is. What is charged for it stays so. */
void run_queue_remove(struct broker *broker, struct run *run);

/* A run that was taken out has started: its cell is charged from now on. */
void run_queue_hand_over(struct run *run, struct run_charge *charge);

/* A run is answered: nothing is charged for it any more, and its account is released. */
void run_queue_forget(struct broker *broker, struct run *run);

/* The same for a cell that is free. */
void run_queue_forget_charge(struct broker *broker, struct run_charge *charge);

/*
 * Refuse the runs that wait for a language, or for one pool of it; all where `language` is NULL. As
 * run_refuse.
 */
void run_queue_refuse(struct broker *broker, const struct language *language, const struct pool *pool, enum refusal refusal,
    const char *step, int error);

/* Refuse the runs that have waited too long. Returns when to look again. */
uint64_t run_queue_keep_time(struct broker *broker, uint64_t now_us);

#endif
