/* run_queue.c - see run_queue.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/run_queue.h"

#include <stddef.h>

#include "broker/broker.h"
#include "broker/language.h"
#include "broker/run_pair.h"
#include "broker/run_wait.h"
#include "clock.h"

#define RUN_COST 10u     /* of one run, in units of weight: a key of the usual weight starts one a round */
#define AGED_US 500000u  /* so long others may pass a run that does not fit into the memory */
#define LOOK_US 1000000u /* from one look for runs that cannot start in time to the next */

static struct pool *
pool_of(const struct run *run)
{
	return &run->language->pool[run->pool];
}

void
run_queue_init(struct broker *broker)
{
	struct run_queue *queue = &broker->queue;

	*queue = (struct run_queue){ .age_us = NEVER_US };
	TAILQ_INIT(&queue->ring);
	TAILQ_INIT(&queue->resting);
	TAILQ_INIT(&queue->held);
	/* Those that start at once pass through the queue, even a full one. */
	deadline_heap_init(&queue->deadlines, broker->config->queue + broker->config->cells);
	for (size_t l = 0; l < broker->language_count; l++) {
		for (size_t p = 0; p < LANGUAGE_POOLS; p++) {
			TAILQ_INIT(&broker->language[l].pool[p].parked);
			TAILQ_INIT(&broker->language[l].pool[p].admitted);
		}
	}
}

/* ---- what a key may have ------------------------------------------------------------------------------------------ */

/* The most cells of one key. */
static uint32_t
most_cells(const struct broker *broker)
{
	return broker->config->cells - broker->config->reserve;
}

static uint32_t
most_running(const struct broker *broker, const struct key_account *account)
{
	return account->share.running != 0 ? account->share.running : most_cells(broker);
}

/* Whether the account may have so many more running. */
static bool
may_start(const struct broker *broker, const struct key_account *account, uint32_t count)
{
	return account->running + count <= most_running(broker, account) && account->cells + count <= most_cells(broker);
}

/* An account that rested may start a run again. */
static void
stir(struct broker *broker, struct key_account *account)
{
	const struct run *run = TAILQ_FIRST(&account->runs);

	if (!account->rests || !may_start(broker, account, run == NULL ? 1 : run_pair_cells(run)))
		return;
	account->rests = false;
	TAILQ_REMOVE(&broker->queue.resting, account, in_ring);
	TAILQ_INSERT_TAIL(&broker->queue.ring, account, in_ring);
	loop_dispatch(&broker->loop);
}

static void
rest(struct run_queue *queue, struct key_account *account)
{
	account->rests = true;
	account->has_turn = false;
	TAILQ_REMOVE(&queue->ring, account, in_ring);
	TAILQ_INSERT_TAIL(&queue->resting, account, in_ring);
}

/* ---- cells and memory --------------------------------------------------------------------------------------------- */

/* Whether so many cells can be had for runs that are not admitted yet. */
static bool
has_cells(const struct broker *broker, uint32_t count)
{
	return broker->taken + broker->reserved + broker->queue.admitted + count <= broker->config->cells;
}

static bool
fits(const struct broker *broker, const struct run *run)
{
	const struct run_queue *queue = &broker->queue;
	uint64_t most = broker->memory_most_bytes;

	/* Runs that are larger than the budget are never queued. */
	if (queue->aged != NULL && queue->aged != run)
		most -= run_pair_memory_bytes(queue->aged);
	return queue->charged_bytes <= most && run_pair_memory_bytes(run) <= most - queue->charged_bytes;
}

/* The run would have its turn, and does not fit. */
static void
block(struct broker *broker, struct run *run, uint64_t now_us)
{
	struct run_queue *queue = &broker->queue;

	if (run->blocked_us == 0)
		run->blocked_us = now_us;
	if (now_us < run->blocked_us + AGED_US) {
		queue->age_us = earlier_us(queue->age_us, run->blocked_us + AGED_US);
		loop_wake_at(&broker->loop, queue->age_us);
	} else if (queue->aged == NULL) {
		queue->aged = run;
	}
}

/*
 * Whether the run would not have to wait: a cell is free, or is being emptied, and all else allows
 * it too.
 */
static bool
starts_at_once(const struct broker *broker, const struct run *run)
{
	const struct key_account *account = run->account;
	uint32_t taken = broker->taken - broker->emptying;

	return taken + broker->reserved + run_queue_count(&broker->queue) < broker->config->cells &&
	    account->running + account->waiting < most_running(broker, account) &&
	    account->running + account->waiting < most_cells(broker) && fits(broker, run);
}

/*
 * How many runs of this key would not have to wait. Those that came in this turn of the loop are
 * counted as waiting until the dispatcher has looked at them.
 */
static uint32_t
room_of(const struct broker *broker, const struct key_account *account)
{
	uint32_t cells = broker->config->cells;
	uint32_t taken = broker->taken - broker->emptying + broker->reserved + broker->queue.admitted;
	uint32_t may = most_running(broker, account) < most_cells(broker) ? most_running(broker, account) : most_cells(broker);

	if (taken >= cells || account->running >= may)
		return 0;
	return may - account->running < cells - taken ? may - account->running : cells - taken;
}

/* ---- places ------------------------------------------------------------------------------------------------------- */

/* Put a run into the list of its key, by its order. Those that are put back are older than most. */
static void
list(struct broker *broker, struct run *run, uint64_t now_us)
{
	struct run_queue *queue = &broker->queue;
	struct key_account *account = run->account;
	struct run *before = TAILQ_LAST(&account->runs, run_list);

	run->place = PLACE_LISTED;
	if (before != NULL && before->order > run->order) {
		struct run *after = TAILQ_FIRST(&account->runs);

		while (after->order < run->order)
			after = TAILQ_NEXT(after, in_list);
		TAILQ_INSERT_BEFORE(after, run, in_list);
	} else {
		TAILQ_INSERT_TAIL(&account->runs, run, in_list);
	}
	if (account->listed++ == 0) {
		pace_begin(&account->pace, now_us);
		account->counted_weight = account->share.weight;
		queue->weights += account->counted_weight;
		account->rests = false;
		account->has_turn = false;
		account->deficit = 0;
		TAILQ_INSERT_TAIL(&queue->ring, account, in_ring);
	}
	if (queue->listed++ == 0) {
		pace_begin(&queue->pace, now_us);
		queue->look_us = now_us + LOOK_US;
		loop_wake_at(&broker->loop, queue->look_us);
	}
	/* Its share may have become larger. */
	stir(broker, account);
}

static void
unlist(struct run_queue *queue, struct run *run)
{
	struct key_account *account = run->account;

	TAILQ_REMOVE(&account->runs, run, in_list);
	run->place = PLACE_NONE;
	run->blocked_us = 0;
	if (queue->aged == run)
		queue->aged = NULL;
	if (--account->listed == 0) {
		pace_end(&account->pace);
		queue->weights -= account->counted_weight;
		account->counted_weight = 0;
		TAILQ_REMOVE(account->rests ? &queue->resting : &queue->ring, account, in_ring);
		account->rests = false;
	}
	if (--queue->listed == 0)
		pace_end(&queue->pace);
}

static void
park(struct run_queue *queue, struct run *run)
{
	unlist(queue, run);
	run->place = PLACE_PARKED;
	TAILQ_INSERT_TAIL(&pool_of(run)->parked, run, in_list);
	queue->parked++;
}

static void
unpark(struct run_queue *queue, struct run *run)
{
	TAILQ_REMOVE(&pool_of(run)->parked, run, in_list);
	run->place = PLACE_NONE;
	queue->parked--;
}

/* The run is in no list any more, and gets a cell. */
static void
admit(struct broker *broker, struct run *run, uint64_t now_us)
{
	struct run_queue *queue = &broker->queue;
	struct key_account *account = run->account;

	pace_count(&queue->pace, now_us, run_wait_running(broker));
	pace_count(&account->pace, now_us, account->running);
	account->waiting--;
	account->running++;
	account->cells++;
	run->is_running = true;
	run->charged_bytes = run->limits.memory_bytes;
	queue->charged_bytes += run->charged_bytes;
	run->place = PLACE_ADMITTED;
	TAILQ_INSERT_TAIL(&pool_of(run)->admitted, run, in_list);
	queue->admitted++;
	pool_of(run)->queued++;
}

static void
unadmit(struct run_queue *queue, struct run *run)
{
	TAILQ_REMOVE(&pool_of(run)->admitted, run, in_list);
	run->place = PLACE_NONE;
	queue->admitted--;
	pool_of(run)->queued--;
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

/* Whether cells of the pool can be made, or are there. */
static bool
is_served(const struct language *language, uint32_t number)
{
	if (language->pool[number].armed != NULL)
		return true;
	for (size_t z = 0; z < language->zygote_count; z++) {
		const struct zygote *zygote = &language->zygote[z];

		if (zygote->pool == number && zygote->pid != 0 && zygote->is_verified)
			return true;
	}
	return false;
}

/* The runs whose pools are served now go back to the lists of their keys. */
static void
unpark_served(struct broker *broker, uint64_t now_us)
{
	for (size_t l = 0; l < broker->language_count && broker->queue.parked > 0; l++) {
		struct language *language = &broker->language[l];

		for (uint32_t p = 0; p < LANGUAGE_POOLS; p++) {
			struct run *run = TAILQ_FIRST(&language->pool[p].parked);

			if (run == NULL || !is_served(language, p))
				continue;
			for (; (run = TAILQ_FIRST(&language->pool[p].parked)) != NULL; list(broker, run, now_us))
				unpark(&broker->queue, run);
		}
	}
}

static bool
can_be_served(const struct run *run)
{
	return is_served(run->language, run->pool) &&
	    (run->partner == NULL || is_served(run->partner->language, run->partner->pool));
}

/* The first run of an account that can start. Others before it are parked; NULL: all are. */
static struct run *
first_run(struct run_queue *queue, struct key_account *account)
{
	struct run *run = TAILQ_FIRST(&account->runs);

	while (run != NULL && !can_be_served(run)) {
		/* The account leaves the ring with its last one. */
		bool is_last = account->listed == 1;

		park(queue, run);
		run = is_last ? NULL : TAILQ_FIRST(&account->runs);
	}
	return run;
}

/* It is the next one's turn. */
static void
pass_turn(struct run_queue *queue, struct key_account *account)
{
	account->has_turn = false;
	TAILQ_REMOVE(&queue->ring, account, in_ring);
	TAILQ_INSERT_TAIL(&queue->ring, account, in_ring);
}

/* The run whose turn it is, and that can start; NULL if there is none. */
static struct run *
next_run(struct broker *broker, uint64_t now_us)
{
	struct run_queue *queue = &broker->queue;
	struct key_account *account, *first_blocked = NULL;

	while ((account = TAILQ_FIRST(&queue->ring)) != NULL && account != first_blocked) {
		struct run *run = first_run(queue, account);
		uint32_t cost;

		if (run == NULL)
			continue;
		cost = RUN_COST * run_pair_cells(run);
		if (!may_start(broker, account, run_pair_cells(run))) {
			rest(queue, account);
			continue;
		}
		if (!fits(broker, run)) {
			block(broker, run, now_us);
			/* If the run has just become the aged one, that changes nothing here. */
			if (first_blocked == NULL)
				first_blocked = account;
			pass_turn(queue, account);
			continue;
		}
		if (!account->has_turn) {
			account->has_turn = true;
			/* A turn that was cut short is not made up for. */
			account->deficit = (account->deficit < cost ? account->deficit : cost - 1) + account->share.weight;
		}
		first_blocked = NULL;
		if (account->deficit >= cost) {
			if (!has_cells(broker, run_pair_cells(run)))
				return NULL; /* the cell that there is waits for another one */
			account->deficit -= cost;
			return run;
		}
		pass_turn(queue, account);
	}
	return NULL;
}

void
run_queue_admit(struct broker *broker)
{
	uint64_t now_us;
	struct run *run;

	if (broker->queue.listed + broker->queue.parked == 0)
		return;
	now_us = clock_us();
	if (broker->queue.parked > 0)
		unpark_served(broker, now_us);
	while (has_cells(broker, 1) && (run = next_run(broker, now_us)) != NULL) {
		struct run *partner = run->partner;

		unlist(&broker->queue, run);
		admit(broker, run, now_us);
		if (partner != NULL) {
			run_pair_unhold(&broker->queue, partner);
			admit(broker, partner, now_us);
			run_pair_part(run);
		}
	}
}

struct run *
run_queue_first(const struct pool *pool)
{
	return TAILQ_FIRST(&pool->admitted);
}

/* ---- in and out --------------------------------------------------------------------------------------------------- */

/* Whether `a` has more in the queue than `b` would have with one more, each by its weight. */
static bool
has_more(const struct key_account *a, const struct key_account *b)
{
	return (uint64_t)a->listed * b->share.weight > (uint64_t)(b->listed + 1) * a->share.weight;
}

/*
 * The queue is full. Refuse the last run of the key that has the most of it, if that is more than
 * this one would have. Returns whether there is a place now.
 */
static bool
push_out(struct broker *broker, const struct key_account *account, uint64_t now_us)
{
	struct run_queue *queue = &broker->queue;
	struct key_ring *const rings[] = { &queue->ring, &queue->resting };
	struct key_account *other, *most = NULL;
	struct run *last;

	for (size_t i = 0; i < 2; i++) {
		TAILQ_FOREACH(other, rings[i], in_ring) {
			if (most == NULL ||
			    (uint64_t)other->listed * most->share.weight > (uint64_t)most->listed * other->share.weight)
				most = other;
		}
	}
	if (most == NULL || !has_more(most, account))
		return false;
	last = TAILQ_LAST(&most->runs, run_list);
	run_queue_remove(broker, last);
	run_refuse_for_now(broker, last, REFUSED_BUSY, "the queue is full, and its key has most of it",
	    run_wait_retry_ms(broker, most, now_us));
	return true;
}

/* Why the run cannot be queued, or NULL; *refusal is set then. */
static const char *
find_objection(struct broker *broker, const struct run *run, uint64_t now_us, enum refusal *refusal)
{
	const struct key_account *account = run->account;

	*refusal = REFUSED_TOO_LARGE;
	if (run_pair_memory_bytes(run) > broker->memory_most_bytes)
		return run->partner == NULL ? "its memory limit is above runner.memory_bytes" :
		                              "its memory limit and its partner's are above runner.memory_bytes";
	*refusal = REFUSED_BUSY;
	if (now_us >= run->deadline_us)
		return "it had waited for all of its time before it came here";
	if (starts_at_once(broker, run))
		return NULL;
	if (account->waiting >= (uint64_t)account->share.waiting + room_of(broker, account)) {
		*refusal = REFUSED_SHARE;
		return "as many of its key's runs wait as may";
	}
	if (run_wait_is_hopeless(broker, run, account->listed + 1, now_us))
		return "it could not start in time";
	if (run_queue_count(&broker->queue) >= broker->config->queue && !push_out(broker, account, now_us))
		return "the queue is full";
	return NULL;
}

bool
run_queue_offer(struct broker *broker, struct run *run, uint64_t queue_ms, uint64_t waited_us)
{
	struct run_queue *queue = &broker->queue;
	uint64_t now_us = clock_us(), most_ms = broker->config->queue_ms, most_us;
	enum refusal refusal;
	const char *objection;

	most_us = (queue_ms != 0 && queue_ms < most_ms ? queue_ms : most_ms) * 1000;
	waited_us = earlier_us(waited_us, most_us);
	run->queued_us = now_us > waited_us ? now_us - waited_us : 0;
	run->deadline_us = now_us + (most_us - waited_us);
	run->partner = run_pair_find(queue, run);
	objection = find_objection(broker, run, now_us, &refusal);
	if (objection != NULL) {
		run->partner = NULL;
		run_refuse_for_now(broker, run, refusal, objection,
		    refusal == REFUSED_TOO_LARGE ? 0 : run_wait_retry_ms(broker, run->account, now_us));
		return false;
	}
	run->state = RUN_QUEUED;
	run->order = ++queue->last_order;
	run->blocked_us = 0;
	deadline_heap_add(&queue->deadlines, run);
	run->account->waiting++;
	run->language->waiting++;
	if (run->pair != 0 && run->partner == NULL) {
		run_pair_hold(queue, run);
	} else {
		if (run->partner != NULL)
			run->partner->partner = run;
		list(broker, run, now_us);
	}
	loop_wake_at(&broker->loop, run->deadline_us);
	loop_dispatch(&broker->loop);
	return true;
}

void
run_queue_restore(struct broker *broker, struct run *run)
{
	struct run_queue *queue = &broker->queue;

	run->state = RUN_QUEUED;
	run->place = PLACE_ADMITTED;
	deadline_heap_add(&queue->deadlines, run);
	run->language->waiting++;
	TAILQ_INSERT_HEAD(&pool_of(run)->admitted, run, in_list);
	queue->admitted++;
	pool_of(run)->queued++;
	loop_wake_at(&broker->loop, run->deadline_us);
	loop_dispatch(&broker->loop);
}

void
run_queue_remove(struct broker *broker, struct run *run)
{
	struct run_queue *queue = &broker->queue;

	if (run->place != PLACE_ADMITTED)
		run->account->waiting--;
	if (run->place == PLACE_ADMITTED)
		unadmit(queue, run);
	else if (run->place == PLACE_PARKED)
		unpark(queue, run);
	else if (run->place == PLACE_HELD)
		run_pair_unhold(queue, run);
	else
		unlist(queue, run);
	run_pair_part(run);
	deadline_heap_remove(&queue->deadlines, run);
	run->language->waiting--;
	run->state = RUN_IDLE;
}

/* ---- what is charged ---------------------------------------------------------------------------------------------- */

void
run_queue_hand_over(struct run *run, struct run_charge *charge)
{
	if (run->account == NULL)
		return;
	*charge = (struct run_charge){ key_account_hold_too(run->account), run->charged_bytes };
	run->charged_bytes = 0;
}

/* A cell and its memory are no longer charged to an account. */
static void
uncharge(struct broker *broker, struct key_account *account, uint64_t *bytes)
{
	if (*bytes == 0)
		return;
	broker->queue.charged_bytes -= *bytes;
	*bytes = 0;
	account->cells--;
	loop_dispatch(&broker->loop);
}

void
run_queue_forget(struct broker *broker, struct run *run)
{
	struct key_account *account = run->account;

	if (account == NULL)
		return;
	account->running -= run->is_running;
	run->is_running = false;
	uncharge(broker, account, &run->charged_bytes);
	stir(broker, account);
	run->account = NULL;
	key_account_release(&broker->accounts, account, clock_us());
}

void
run_queue_forget_charge(struct broker *broker, struct run_charge *charge)
{
	struct key_account *account = charge->account;

	if (account == NULL)
		return;
	uncharge(broker, account, &charge->bytes);
	stir(broker, account);
	charge->account = NULL;
	key_account_release(&broker->accounts, account, clock_us());
}

/* ---- refusals ----------------------------------------------------------------------------------------------------- */

void
run_queue_refuse(struct broker *broker, const struct language *language, const struct pool *pool, enum refusal refusal,
    const char *step, int error)
{
	struct deadline_heap *heap = &broker->queue.deadlines;
	struct run_list refused = TAILQ_HEAD_INITIALIZER(refused);
	struct run *run;

	/* A place that came free is looked at again: a run from before it may be there now. */
	for (uint32_t i = heap->count; i > 0;) {
		run = heap->run[i - 1];
		if ((language != NULL && run->language != language) || (pool != NULL && pool_of(run) != pool)) {
			i--;
			continue;
		}
		run_queue_remove(broker, run);
		TAILQ_INSERT_TAIL(&refused, run, in_list);
		i = i < heap->count ? i : heap->count;
	}
	while ((run = TAILQ_FIRST(&refused)) != NULL) {
		TAILQ_REMOVE(&refused, run, in_list);
		run_refuse(broker, run, refusal, step, error);
	}
}

/*
 * Refuse those that cannot start in time, from the end of each key's list: the ones before them can
 * all the better.
 */
static void
refuse_hopeless(struct broker *broker, struct key_ring *ring, uint64_t now_us)
{
	struct key_account *account = TAILQ_FIRST(ring), *next;

	for (; account != NULL; account = next) {
		struct run *last;

		next = TAILQ_NEXT(account, in_ring);
		while (account->listed > 1 && (last = TAILQ_LAST(&account->runs, run_list)) != NULL &&
		    run_wait_is_hopeless(broker, last, account->listed, now_us)) {
			run_queue_remove(broker, last);
			run_refuse_for_now(broker, last, REFUSED_BUSY, "it cannot start in time",
			    run_wait_retry_ms(broker, account, now_us));
		}
	}
}

uint64_t
run_queue_keep_time(struct broker *broker, uint64_t now_us)
{
	struct run_queue *queue = &broker->queue;
	struct run *run;
	uint64_t next_us;

	while ((run = deadline_heap_first(&queue->deadlines)) != NULL && now_us >= run->deadline_us) {
		uint32_t again_ms = run_wait_retry_ms(broker, run->account, now_us);

		run_queue_remove(broker, run);
		run_refuse_for_now(broker, run, REFUSED_BUSY, "no cell came free in time", again_ms);
	}
	if (queue->listed > 0 && now_us >= queue->look_us) {
		refuse_hopeless(broker, &queue->ring, now_us);
		refuse_hopeless(broker, &queue->resting, now_us);
		queue->look_us = now_us + LOOK_US;
	}
	if (now_us >= queue->age_us) {
		queue->age_us = NEVER_US;
		loop_dispatch(&broker->loop);
	}
	next_us = run == NULL ? NEVER_US : run->deadline_us;
	if (queue->listed > 0)
		next_us = earlier_us(next_us, queue->look_us);
	return earlier_us(next_us, queue->age_us);
}
