/* run_queue_test.c - broker/run_queue.c: which run is next. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue_world.h"

/* ---- turns -------------------------------------------------------------------------------------------------------- */

static void
starts_at_once_while_there_are_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < 28; i++)
		queue_world_offer_small("a", 10);
	assert_int_equal(queue_world_dispatch(), 28);
	for (size_t i = 0; i < 28; i++)
		assert_int_equal(world.started[i], i);
}

/* One key has a thousand runs that wait; another one sends one now and then. */
static void
a_flood_delays_its_own_key_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < 1000; i++)
		queue_world_offer_small("flood", 10);
	queue_world_dispatch();
	/* The flood has all cells but the reserve. */
	assert_int_equal(world.started_count, CELLS - world.config.reserve);
	for (size_t i = 0; i < 100; i++) {
		size_t light = queue_world_offer_small("light", 10);

		assert_int_equal(queue_world_dispatch(), 1);
		assert_int_equal(world.fates[light].what, STARTED);
		queue_world_end(light);
		world.now_us += 1000;
	}
	/* Where others have the reserve, it waits for the end of one run. */
	for (size_t i = 0; i < 4; i++)
		queue_world_offer_small(i % 2 == 0 ? "other" : "another", 10);
	assert_int_equal(queue_world_dispatch(), 4);
	size_t light = queue_world_offer_small("light", 10);
	assert_int_equal(queue_world_dispatch(), 0);
	queue_world_end(0);
	assert_int_equal(queue_world_dispatch(), 1);
	assert_int_equal(world.fates[light].what, STARTED);
}

static void
keys_share_by_weight(void **state)
{
	size_t of[3];

	(void)state;
	world.config.reserve = 0;
	world.config.cells = 1;
	of[0] = 0;
	for (size_t i = 0; i < 400; i++)
		queue_world_offer_small("ten", 10);
	of[1] = world.run_count;
	for (size_t i = 0; i < 400; i++)
		queue_world_offer_small("thirty", 30);
	of[2] = world.run_count;
	for (size_t i = 0; i < 400; i++)
		queue_world_offer_small("five", 5);
	queue_world_dispatch();
	for (size_t i = 0; i < 449; i++) {
		queue_world_end(world.started[world.started_count - 1]);
		assert_int_equal(queue_world_dispatch(), 1);
	}
	/* 450 runs: 10 to 30 to 5. */
	assert_in_range(queue_world_of_key(of, 2, 450), 49, 51);
	assert_in_range(queue_world_of_key(of, 1, 450), 349, 351);
	/* Each key's runs have started in their order. */
	for (size_t i = 1, last = 0; i < world.started_count; i++) {
		if (world.started[i] >= of[1])
			continue;
		assert_true(world.started[i] > last);
		last = world.started[i];
	}
}

/* A heavy weight is a share over time, and not a row of its own runs without an end. */
static void
a_heavy_key_lets_others_in(void **state)
{
	(void)state;
	world.config.reserve = 0;
	world.config.cells = 1;
	for (size_t i = 0; i < 500; i++)
		queue_world_offer_small("heavy", 1000);
	size_t light = queue_world_offer_small("light", 1);
	queue_world_dispatch();
	for (size_t i = 0; world.fates[light].what == NOTHING; i++) {
		/* Ten rounds of a hundred would be a thousand: there are not so many. */
		assert_true(i < 501);
		queue_world_end(world.started[world.started_count - 1]);
		queue_world_dispatch();
	}
}

static void
no_key_has_the_reserve(void **state)
{
	struct run_share share = queue_world_share("a", 10);

	(void)state;
	share.running = 1000;
	for (size_t i = 0; i < 100; i++)
		queue_world_offer(&share, 0, MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), CELLS - world.config.reserve);
	/* An answered run's cell counts until it is free. */
	run_answer(&world.broker, &world.runs[0]);
	assert_int_equal(queue_world_dispatch(), 0);
	run_queue_forget_charge(&world.broker, &world.charges[0]);
	world.broker.taken--;
	assert_int_equal(queue_world_dispatch(), 1);
	/* All other keys together may have it. */
	for (size_t i = 0; i < 100; i++)
		queue_world_offer_small("b", 10);
	assert_int_equal(queue_world_dispatch(), world.config.reserve);
}

static void
no_more_run_than_may(void **state)
{
	struct run_share share = queue_world_share("a", 10);

	(void)state;
	share.running = 2;
	for (size_t i = 0; i < 5; i++)
		queue_world_offer(&share, 0, MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 2);
	assert_int_equal(queue_world_dispatch(), 0);
	queue_world_end(1);
	assert_int_equal(queue_world_dispatch(), 1);
	/* The key may have more from now on. */
	share.running = 10;
	queue_world_offer(&share, 0, MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 3);
}

/* A key that runs as many as it may, and has none that waits any more, is in no list. */
static void
a_key_at_rest_loses_its_last_run(void **state)
{
	struct run_share share = queue_world_share("a", 10);

	(void)state;
	share.running = 1;
	for (size_t i = 0; i < 2; i++)
		queue_world_offer(&share, 0, MIB, 300 + 9000 * (i == 0), 0);
	assert_int_equal(queue_world_dispatch(), 1);
	assert_int_equal(queue_world_dispatch(), 0);
	world.now_us += 300000;
	run_queue_keep_time(&world.broker, world.now_us);
	assert_int_equal(world.fates[1].what, REFUSED);
	queue_world_end(0);
	assert_true(TAILQ_EMPTY(&world.broker.queue.ring) && TAILQ_EMPTY(&world.broker.queue.resting));
	queue_world_offer_small("b", 10);
	assert_int_equal(queue_world_dispatch(), 1);
}

static void
no_more_wait_than_may(void **state)
{
	struct run_share share = queue_world_share("a", 10);

	(void)state;
	share.running = 2;
	share.waiting = 3;
	for (size_t i = 0; i < 6; i++)
		queue_world_offer(&share, 0, MIB, 0, 0);
	/* Two start at once, three wait. */
	assert_int_equal(world.fates[4].what, NOTHING);
	assert_int_equal(world.fates[5].what, REFUSED);
	assert_int_equal(world.fates[5].refusal, REFUSED_SHARE);
	assert_int_equal(queue_world_dispatch(), 2);
	assert_int_equal(queue_world_offer(&share, 0, MIB, 0, 0), 6);
	assert_int_equal(world.fates[6].refusal, REFUSED_SHARE);
	/* A key whose runs never wait has them carried out as long as there are cells. */
	share = queue_world_share("never", 10);
	share.waiting = 0;
	share.running = 1;
	queue_world_offer(&share, 0, MIB, 0, 0);
	queue_world_offer(&share, 0, MIB, 0, 0);
	assert_int_equal(world.fates[8].refusal, REFUSED_SHARE);
	assert_int_equal(queue_world_dispatch(), 1);
	/* The cell of its last run is still being emptied. */
	run_answer(&world.broker, &world.runs[7]);
	world.broker.emptying = 1;
	assert_int_equal(queue_world_offer(&share, 0, MIB, 0, 0), 9);
	assert_int_equal(world.fates[9].what, NOTHING);
}

/* A language that wakes stops nobody: neither other keys, nor other runs of the same key. */
static void
others_pass_while_a_language_wakes(void **state)
{
	struct run_share share = queue_world_share("a", 10);
	size_t asleep[40], awake;

	(void)state;
	world.zygotes[1].is_verified = false;
	for (size_t i = 0; i < 40; i++)
		asleep[i] = queue_world_offer(&share, 1, MIB, 0, 0);
	awake = queue_world_offer(&share, 0, MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 1);
	assert_int_equal(world.fates[awake].what, STARTED);
	queue_world_end(awake);
	assert_int_equal(world.languages[1].waiting, 40);
	/* One of them is cancelled. */
	run_queue_remove(&world.broker, &world.runs[asleep[3]]);
	run_drop(&world.broker, &world.runs[asleep[3]]);
	/* It serves: they come before what came later. */
	world.zygotes[1].is_verified = true;
	awake = queue_world_offer(&share, 0, MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 28);
	for (size_t i = 0; i < 28; i++)
		assert_int_equal(world.started[1 + i], asleep[i < 3 ? i : i + 1]);
	assert_int_equal(world.fates[awake].what, NOTHING);
}

/* ---- in and out --------------------------------------------------------------------------------------------------- */

static void
a_run_is_taken_out_wherever_it_is(void **state)
{
	(void)state;
	world.broker.taken = CELLS;
	for (size_t i = 0; i < 1000; i++)
		queue_world_offer_small(i % 3 == 0 ? "a" : "b", 10);
	for (size_t i = 0; i < 1000; i++) {
		size_t number = i * 7 % 1000;

		run_queue_remove(&world.broker, &world.runs[number]);
		run_drop(&world.broker, &world.runs[number]);
		assert_int_equal(run_queue_count(&world.broker.queue), 999 - i);
		for (uint32_t at = 1; at < world.broker.queue.deadlines.count; at++)
			assert_true(world.broker.queue.deadlines.run[(at - 1) / 2]->deadline_us <=
			    world.broker.queue.deadlines.run[at]->deadline_us);
	}
	assert_int_equal(world.broker.accounts.count, 0);
	assert_int_equal(world.languages[0].waiting, 0);
	assert_int_equal(world.broker.queue.weights, 0);
}

static void
a_language_that_fails_has_its_runs_refused(void **state)
{
	struct run_share share = queue_world_share("a", 10);

	(void)state;
	world.broker.taken = CELLS;
	/* Their deadlines are in no order. */
	for (size_t i = 0; i < 500; i++)
		queue_world_offer(&share, i % 2, MIB, 100 + i * 37 % 500, 0);
	run_queue_refuse(&world.broker, &world.languages[1], NULL, REFUSED_UNAVAILABLE, "it failed", 0);
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(world.fates[i].what, i % 2 == 1 ? REFUSED : NOTHING);
	run_queue_refuse(&world.broker, NULL, NULL, REFUSED_UNAVAILABLE, "all", 0);
	assert_int_equal(run_queue_count(&world.broker.queue), 0);
}

/* A cell that was given up at the last moment costs a run nothing. */
static void
a_run_that_is_put_back_is_next(void **state)
{
	struct run *run;

	(void)state;
	queue_world_offer_small("a", 10);
	queue_world_offer_small("a", 10);
	run_queue_admit(&world.broker);
	run = run_queue_first(&world.languages[0].pool[0]);
	assert_ptr_equal(run, &world.runs[0]);
	run_queue_remove(&world.broker, run);
	run_queue_restore(&world.broker, run);
	assert_ptr_equal(run_queue_first(&world.languages[0].pool[0]), run);
	assert_int_equal(queue_world_dispatch(), 2);
	queue_world_end(0);
	queue_world_end(1);
	assert_int_equal(world.broker.queue.charged_bytes, 0);
	assert_int_equal(world.broker.accounts.count, 0);
}

/* ---- pairs -------------------------------------------------------------------------------------------------------- */

/* Offer one side of a pair. Returns its number. */
static size_t
offer_side(const char *name, uint32_t pair, uint64_t memory_bytes)
{
	struct run_share share = queue_world_share(name, 20); /* a pair each round */
	size_t number;

	world.pair = pair;
	number = queue_world_offer(&share, 0, memory_bytes, 0, 0);
	world.pair = 0;
	return number;
}

static void
a_pair_starts_together(void **state)
{
	(void)state;
	world.config.reserve = 0;
	world.config.cells = 3;
	queue_world_offer_small("d", 10);
	queue_world_offer_small("d", 10);
	assert_int_equal(queue_world_dispatch(), 2);
	offer_side("a", 7, MIB);
	assert_int_equal(queue_world_dispatch(), 0);
	/* The same number of another key is another pair. */
	offer_side("b", 7, MIB);
	assert_int_equal(queue_world_dispatch(), 0);
	offer_side("a", 7, MIB);
	/* One cell is free, and stays so. */
	queue_world_offer_small("c", 10);
	assert_int_equal(queue_world_dispatch(), 0);
	queue_world_end(0);
	assert_int_equal(queue_world_dispatch(), 2);
	assert_int_equal(world.fates[2].what, STARTED);
	assert_int_equal(world.fates[4].what, STARTED);
	queue_world_end(1);
	assert_int_equal(queue_world_dispatch(), 1);
	assert_int_equal(world.fates[5].what, STARTED);
	assert_int_equal(world.fates[3].what, NOTHING);
}

/* As many first sides as there are cells, and then their partners. */
static void
pairs_do_not_wait_for_each_other(void **state)
{
	(void)state;
	world.config.reserve = 0;
	world.config.cells = 5;
	for (uint32_t pair = 1; pair <= 20; pair++)
		offer_side("a", pair, MIB);
	assert_int_equal(queue_world_dispatch(), 0);
	for (uint32_t pair = 1; pair <= 20; pair++)
		offer_side("a", pair, MIB);
	for (size_t ended = 0; ended < 40; ended += 2) {
		queue_world_dispatch();
		/* The oldest two are a pair. */
		assert_true(world.started_count >= ended + 2);
		assert_int_equal(world.started_count % 2, 0);
		assert_int_equal(world.runs[world.started[ended]].pair, world.runs[world.started[ended + 1]].pair);
		queue_world_end(world.started[ended]);
		queue_world_end(world.started[ended + 1]);
	}
	assert_int_equal(run_queue_count(&world.broker.queue), 0);
}

static void
a_pair_has_memory_for_both(void **state)
{
	(void)state;
	world.broker.memory_most_bytes = 100 * MIB;
	offer_side("a", 1, 40 * MIB);
	offer_side("a", 1, 40 * MIB);
	assert_int_equal(queue_world_dispatch(), 2);
	offer_side("a", 2, 40 * MIB);
	offer_side("a", 2, 40 * MIB);
	assert_int_equal(queue_world_dispatch(), 0);
	queue_world_end(0);
	assert_int_equal(queue_world_dispatch(), 0);
	queue_world_end(1);
	assert_int_equal(queue_world_dispatch(), 2);
	/* This one never fits, and its first side is left alone. */
	offer_side("a", 3, 60 * MIB);
	offer_side("a", 3, 60 * MIB);
	assert_int_equal(world.fates[5].what, REFUSED);
	assert_int_equal(world.fates[5].refusal, REFUSED_TOO_LARGE);
	assert_int_equal(world.fates[4].what, NOTHING);
	world.now_us += 20000000;
	run_queue_keep_time(&world.broker, world.now_us);
	assert_int_equal(world.fates[4].refusal, REFUSED_BUSY);
	assert_int_equal(run_queue_count(&world.broker.queue), 0);
}

/* A key that may run three has one pair, and not a half of the next one. */
static void
a_pair_counts_as_two_of_its_key(void **state)
{
	(void)state;
	for (uint32_t pair = 1; pair <= 2; pair++) {
		for (int side = 0; side < 2; side++) {
			struct run_share share = queue_world_share("a", 10);

			share.running = 3;
			world.pair = pair;
			queue_world_offer(&share, 0, MIB, 0, 0);
		}
	}
	assert_int_equal(queue_world_dispatch(), 2);
	queue_world_end(0);
	assert_int_equal(queue_world_dispatch(), 2);
}

/* Either side can be cancelled before the start. */
static void
a_pair_is_parted(void **state)
{
	(void)state;
	world.broker.taken = CELLS;
	for (uint32_t pair = 1; pair <= 2; pair++) {
		offer_side("a", pair, MIB);
		offer_side("a", pair, MIB);
	}
	run_queue_remove(&world.broker, &world.runs[0]);
	run_queue_remove(&world.broker, &world.runs[3]);
	assert_null(world.runs[1].partner);
	assert_null(world.runs[2].partner);
	run_queue_remove(&world.broker, &world.runs[1]);
	run_queue_remove(&world.broker, &world.runs[2]);
	assert_int_equal(run_queue_count(&world.broker.queue), 0);
	assert_int_equal(world.broker.queue.listed, 0);
	assert_true(TAILQ_EMPTY(&world.broker.queue.held));
	for (size_t i = 0; i < 4; i++)
		run_drop(&world.broker, &world.runs[i]);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, queue_world_set_up, queue_world_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(starts_at_once_while_there_are_cells),
		TEST(a_flood_delays_its_own_key_only),
		TEST(keys_share_by_weight),
		TEST(a_heavy_key_lets_others_in),
		TEST(no_key_has_the_reserve),
		TEST(no_more_run_than_may),
		TEST(a_key_at_rest_loses_its_last_run),
		TEST(no_more_wait_than_may),
		TEST(others_pass_while_a_language_wakes),
		TEST(a_run_is_taken_out_wherever_it_is),
		TEST(a_language_that_fails_has_its_runs_refused),
		TEST(a_run_that_is_put_back_is_next),
		TEST(a_pair_starts_together),
		TEST(pairs_do_not_wait_for_each_other),
		TEST(a_pair_has_memory_for_both),
		TEST(a_pair_counts_as_two_of_its_key),
		TEST(a_pair_is_parted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
