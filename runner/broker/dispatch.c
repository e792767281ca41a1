/* dispatch.c - see dispatch.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/dispatch.h"

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/compiler_id.h"
#include "broker/client_find.h"
#include "broker/language.h"
#include "broker/selftest.h"
#include "clock.h"

#define ASIDE_US 1000000u /* for which a suspect cell is left alone */

/* ---- runs ------------------------------------------------------------------------------------------------------- */

/* Cells that are made for one run. */
static void
start_reserved(struct broker *broker)
{
	for (uint32_t i = 0; broker->reserved > 0 && i < broker->config->cells; i++) {
		struct cell *cell = &broker->cell[i];

		if (!cell->is_reserved || cell->state != CELL_ARMED)
			continue;
		if (cell->run->owner->armed(broker, cell->run) == 0)
			cell_run_start(broker, cell, cell->run);
		else
			cell_give_up(broker, cell);
	}
}

/* The admitted runs of a pool, as far as its cells are armed. */
static void
start_admitted(struct broker *broker, struct pool *pool)
{
	struct run *run;

	while (pool->armed != NULL && (run = run_queue_first(pool)) != NULL) {
		enum cell_start start = CELL_UNUSABLE;

		run_queue_remove(broker, run);
		while (start == CELL_UNUSABLE && pool->armed != NULL)
			start = cell_run_start(broker, pool->armed, run);
		if (start == CELL_UNUSABLE)
			run_queue_restore(broker, run);
	}
}

static void
start_queued(struct broker *broker)
{
	run_queue_admit(broker);
	for (size_t l = 0; l < broker->language_count && broker->queue.admitted > 0; l++) {
		if (broker->language[l].waiting == 0)
			continue;
		for (size_t p = 0; p < LANGUAGE_POOLS; p++)
			start_admitted(broker, &broker->language[l].pool[p]);
	}
}

/* ---- cells ------------------------------------------------------------------------------------------------------ */

/*
 * A free cell for a pool: the one with the fewest failures, and of these the lowest number; NULL if
 * there is none.
 */
static struct cell *
free_cell(struct broker *broker, const struct pool *pool)
{
	struct cell *found = NULL;
	uint64_t now_us = clock_us();

	for (uint32_t i = 0; i < broker->config->cells; i++) {
		struct cell *cell = &broker->cell[i];

		if (cell->state != CELL_FREE || (cell_is_suspect(cell, pool) && now_us < cell->failed_us + ASIDE_US))
			continue;
		if (found == NULL || cell->failures < found->failures)
			found = cell;
	}
	return found;
}

/*
 * No cell is free: choose an armed one to reclaim, from a pool with no queued runs. Of the
 * languages that are only there when they are used, the least recently used one comes first.
 */
static struct cell *
cell_to_reclaim(struct broker *broker)
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
 * The cells to keep ready by making some. Those that come back by themselves count, for half of
 * the number at most: a program may run for long, or leave its cell in disorder.
 */
static uint32_t
cells_ahead(const struct language *language, uint32_t number)
{
	uint32_t wanted = language_armed(language, number), returning = language->pool[number].returning;

	return wanted - (returning < wanted / 2 ? returning : wanted / 2);
}

uint32_t
dispatch_most_cells(struct language *language, uint32_t number)
{
	struct pool *pool = &language->pool[number];
	uint32_t at_once = demand_most(&pool->demand, clock_us());

	/* A run that is alone has one of those that are ready, and needs none besides. */
	return pool->queued + language_armed(language, number) + (at_once > 1 ? at_once - 1 : 0);
}

void
dispatch_count_demand(struct broker *broker, struct pool *pool, uint64_t now_us)
{
	demand_count(&pool->demand, now_us, pool->returning);
	loop_wake_at(&broker->loop, demand_next_us(&pool->demand));
}

uint64_t
dispatch_keep_time(struct broker *broker, uint64_t now_us)
{
	uint64_t next_us = NEVER_US;

	for (size_t l = 0; l < broker->language_count; l++) {
		for (uint32_t p = 0; p < LANGUAGE_POOLS; p++) {
			struct language *language = &broker->language[l];
			struct pool *pool = &language->pool[p];

			if (demand_next_us(&pool->demand) > now_us) {
				next_us = earlier_us(next_us, demand_next_us(&pool->demand));
				continue;
			}
			demand_most(&pool->demand, now_us);
			while (pool->armed != NULL &&
			    pool->armed_count + pool->arming_count + pool->returning > dispatch_most_cells(language, p))
				cell_give_up(broker, pool->armed);
			next_us = earlier_us(next_us, demand_next_us(&pool->demand));
		}
	}
	return next_us;
}

/*
 * Arm the cells that a pool wants: one for each run that waits, and with `ahead` those that it
 * keeps ready, too. Returns whether a cell was missing for a run.
 */
static bool
replenish(struct broker *broker, struct language *language, uint32_t number, bool ahead)
{
	struct pool *pool = &language->pool[number];
	uint32_t wanted = pool->queued + (ahead ? cells_ahead(language, number) : 0);

	if (pool_backs_off(pool))
		return false;
	while (pool->armed_count + pool->arming_count < wanted) {
		struct cell *cell = free_cell(broker, pool);

		if (cell == NULL)
			return pool->queued > pool->arming_count;
		if (cell_arm(broker, cell, language, number) != 0)
			return false;
	}
	return false;
}

/* Have new zygotes tested. Returns whether a cell was missing for that. */
static bool
test_zygotes(struct broker *broker, struct language *language)
{
	for (size_t z = 0; z < language->zygote_count; z++) {
		struct zygote *zygote = &language->zygote[z];
		struct cell *cell;

		if (zygote->pid == 0 || zygote->is_verified || pool_backs_off(&language->pool[zygote->pool]))
			continue;
		if (!zygote->is_in_test && clock_us() >= zygote->test_us) {
			cell = free_cell(broker, &language->pool[zygote->pool]);
			if (cell == NULL)
				return true;
			if (selftest_arm(broker, cell, zygote) != 0)
				return false;
		}
		/* The others have less to pass when one has passed all. */
		if (!language->is_verified)
			break;
	}
	return false;
}

static void
arm_cells(struct broker *broker)
{
	bool is_short = false;

	for (size_t l = 0; l < broker->language_count; l++) {
		if (language_is_awake(&broker->language[l]))
			is_short = test_zygotes(broker, &broker->language[l]) || is_short;
	}
	/*
	 * Runs that wait come first: a cell that was reclaimed for one must not go back to where it
	 * came from.
	 */
	for (int ahead = 0; ahead <= 1 && !is_short; ahead++) {
		for (size_t l = 0; l < broker->language_count; l++) {
			for (uint32_t w = 0; language_is_awake(&broker->language[l]) && w < LANGUAGE_POOLS; w++)
				is_short = replenish(broker, &broker->language[l], w, ahead != 0) || is_short;
		}
	}
	broker->is_short = is_short;
	if (is_short) {
		struct cell *cell = cell_to_reclaim(broker);

		if (cell != NULL)
			cell_give_up(broker, cell);
	}
}

void
dispatch(struct broker *broker)
{
	for (size_t l = 0; l < broker->language_count; l++) {
		compiler_id_ask(broker, &broker->language[l]);
		client_find_answer(broker, &broker->language[l]);
	}
	if (layers_broken(&broker->layers) != NULL) {
		selftest_stop_serving(broker);
		return;
	}
	start_reserved(broker);
	start_queued(broker);
	arm_cells(broker);
}
