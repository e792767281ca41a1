/* run_queue_limits_test.c - broker/run_queue.c: who is refused, and when. */
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

/* ---- the full queue ------------------------------------------------------------------------------------------------ */

static void
a_full_queue_refuses_whom_it_is_full_of(void **state)
{
	size_t last, light;

	(void)state;
	world.config.queue = 100;
	for (size_t i = 0; i < 28; i++)
		queue_world_offer_small("flood", 10);
	queue_world_dispatch();
	for (size_t i = 0; i < 100; i++)
		last = queue_world_offer_small("flood", 10);
	assert_int_equal(world.fates[last].what, NOTHING);
	assert_int_equal(queue_world_offer_small("flood", 10), last + 1);
	assert_int_equal(world.fates[last + 1].refusal, REFUSED_BUSY);
	world.broker.taken = CELLS; /* the reserve is taken as well */
	light = queue_world_offer_small("light", 10);
	assert_int_equal(world.fates[light].what, NOTHING);
	assert_int_equal(world.fates[last].what, REFUSED);
	assert_int_equal(world.fates[last].refusal, REFUSED_BUSY);
	assert_int_equal(run_queue_count(&world.broker.queue), 100);
	/* Until it has as much as the other one. */
	for (size_t i = 0; i < 100; i++)
		light = queue_world_offer_small("light", 10);
	assert_int_equal(world.fates[light].what, REFUSED);
	assert_int_equal(run_queue_count(&world.broker.queue), 100);
	assert_int_equal(world.broker.queue.listed, 100);
	assert_int_equal(world.runs[28].account->listed, 50);
}

static void
without_a_queue_runs_start_or_are_refused(void **state)
{
	(void)state;
	world.config.queue = 0;
	for (size_t i = 0; i < 29; i++)
		queue_world_offer_small("a", 10);
	assert_int_equal(world.fates[27].what, NOTHING);
	assert_int_equal(world.fates[28].refusal, REFUSED_BUSY);
	assert_int_equal(queue_world_dispatch(), 28);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static void
memory_stays_within_the_budget(void **state)
{
	struct run_share share = queue_world_share("a", 10), other = queue_world_share("b", 10);
	size_t large, small;

	(void)state;
	world.broker.memory_most_bytes = 1000 * MIB;
	for (size_t i = 0; i < 5; i++)
		queue_world_offer(&share, 0, 300 * MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 3);
	assert_int_equal(world.broker.queue.charged_bytes, 900 * MIB);
	/* One that fits passes. */
	small = queue_world_offer(&other, 0, 100 * MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 1);
	assert_int_equal(world.fates[small].what, STARTED);
	/* The memory is free when the cell is, and not before. */
	run_answer(&world.broker, &world.runs[0]);
	assert_int_equal(queue_world_dispatch(), 0);
	run_queue_forget_charge(&world.broker, &world.charges[0]);
	world.broker.taken--;
	assert_int_equal(queue_world_dispatch(), 1);
	/* One that can never fit does not wait. */
	large = queue_world_offer(&other, 0, 1001 * MIB, 0, 0);
	assert_int_equal(world.fates[large].refusal, REFUSED_TOO_LARGE);
	assert_int_equal(world.fates[large].retry_ms, 0);
}

/* Small runs that come without end do not starve a large one, nor does it stop them. */
static void
a_large_run_has_its_turn(void **state)
{
	struct run_share share = queue_world_share("small", 10), other = queue_world_share("large", 10);
	size_t oldest = 0, large, late;

	(void)state;
	world.broker.memory_most_bytes = 1000 * MIB;
	for (size_t i = 0; i < 10; i++)
		queue_world_offer(&share, 0, 100 * MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 10);
	large = queue_world_offer(&other, 0, 600 * MIB, 0, 0);
	/* For half a second each small one that ends makes room for another one. */
	for (size_t i = 0; i < 10; i++) {
		queue_world_offer(&share, 0, 100 * MIB, 0, 0);
		queue_world_end(world.started[oldest++]);
		assert_int_equal(queue_world_dispatch(), 1);
		assert_int_equal(world.fates[large].what, NOTHING);
		world.now_us += 49000;
	}
	world.now_us += 50000;
	assert_true(world.broker.loop.wake_us <= world.now_us);
	world.broker.loop.wake_us = run_queue_keep_time(&world.broker, world.now_us);
	/* From then on what it needs is kept free. */
	for (size_t i = 0; i < 6; i++) {
		late = queue_world_offer(&share, 0, 100 * MIB, 0, 0);
		assert_int_equal(queue_world_dispatch(), 0);
		queue_world_end(world.started[oldest++]);
	}
	/* Six have ended: it starts, and none of the small ones, which fill the rest already. */
	assert_int_equal(queue_world_dispatch(), 1);
	assert_int_equal(world.fates[large].what, STARTED);
	assert_int_equal(world.fates[late].what, NOTHING);
	assert_null(world.broker.queue.aged);
	queue_world_end(large);
	assert_int_equal(queue_world_dispatch(), 6);
}

/* Small runs use the memory that an aged one leaves. */
static void
small_runs_use_what_an_aged_one_leaves(void **state)
{
	struct run_share share = queue_world_share("small", 10), other = queue_world_share("large", 10),
	                 third = queue_world_share("third", 10);
	size_t large, small;

	(void)state;
	world.broker.memory_most_bytes = 1000 * MIB;
	queue_world_offer(&third, 0, 500 * MIB, 0, 0);
	queue_world_dispatch();
	large = queue_world_offer(&other, 0, 600 * MIB, 0, 0);
	queue_world_dispatch();
	world.now_us += 600000;
	queue_world_dispatch();
	assert_ptr_equal(world.broker.queue.aged, &world.runs[large]);
	small = queue_world_offer(&share, 0, 100 * MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 0); /* 500 + 100 + 600 */
	queue_world_end(0);
	assert_int_equal(queue_world_dispatch(), 2);
	assert_int_equal(world.fates[small].what, STARTED);
	/* An aged run that goes away keeps nothing. */
	large = queue_world_offer(&other, 0, 600 * MIB, 0, 0);
	queue_world_dispatch();
	world.now_us += 600000;
	queue_world_dispatch();
	assert_ptr_equal(world.broker.queue.aged, &world.runs[large]);
	run_queue_remove(&world.broker, &world.runs[large]);
	run_drop(&world.broker, &world.runs[large]);
	assert_null(world.broker.queue.aged);
	queue_world_offer(&share, 0, 300 * MIB, 0, 0);
	assert_int_equal(queue_world_dispatch(), 1);
}

/* ---- deadlines ---------------------------------------------------------------------------------------------------- */

static void
refused_at_its_deadline(void **state)
{
	struct run_share share = queue_world_share("a", 10);
	size_t usual, brief, waited, late;

	(void)state;
	world.broker.taken = CELLS;
	usual = queue_world_offer(&share, 0, MIB, 0, 0);
	brief = queue_world_offer(&share, 0, MIB, 500, 0);
	waited = queue_world_offer(&share, 0, MIB, 600000, 4000000);
	late = queue_world_offer(&share, 0, MIB, 300, 300000);
	assert_int_equal(world.fates[late].refusal, REFUSED_BUSY);
	assert_int_equal(world.runs[waited].queued_us, 0); /* the clock had not begun then */
	world.now_us += 499999;
	run_queue_keep_time(&world.broker, world.now_us);
	assert_int_equal(world.fates[brief].what, NOTHING);
	world.now_us += 1;
	run_queue_keep_time(&world.broker, world.now_us);
	assert_int_equal(world.fates[brief].refusal, REFUSED_BUSY);
	world.now_us += 5500000;
	assert_true(run_queue_keep_time(&world.broker, world.now_us) > world.now_us);
	assert_int_equal(world.fates[waited].what, REFUSED);
	assert_int_equal(world.fates[usual].what, NOTHING);
	world.now_us += 4000000;
	run_queue_keep_time(&world.broker, world.now_us);
	assert_int_equal(world.fates[usual].what, REFUSED);
	assert_int_equal(run_queue_count(&world.broker.queue), 0);
	assert_int_equal(world.broker.accounts.count, 0);
	/* Whatever a worker says. */
	late = queue_world_offer(&share, 0, MIB, UINT64_MAX, UINT64_MAX);
	assert_int_equal(world.fates[late].what, REFUSED);
}

/*
 * 28 cells, programs of 2 s: 14 start in a second, 140 in the ten seconds that they may wait.
 */
static void
what_cannot_start_in_time_is_told_early(void **state)
{
	size_t next = 0, refused_early = 0, kept = 0, late;

	(void)state;
	for (size_t i = 0; i < 600; i++)
		queue_world_offer_small("a", 10);
	/* At first nobody knows how long they take. */
	for (size_t i = 0; i < 600; i++)
		assert_int_equal(world.fates[i].what, NOTHING);
	queue_world_dispatch();
	for (int step = 0; step < 40; step++) {
		world.now_us += 100000;
		run_queue_keep_time(&world.broker, world.now_us);
		/* Runs end evenly, from the second second on. */
		for (size_t i = 0; step >= 10 && i < 14 * (size_t)(step + 1) / 10 - 14 * (size_t)step / 10; i++)
			queue_world_end(world.started[next++]);
		queue_world_dispatch();
	}
	for (size_t i = 0; i < 600; i++) {
		refused_early += world.fates[i].what == REFUSED;
		kept += world.fates[i].what == NOTHING;
		assert_true(
		    world.fates[i].what != REFUSED || (world.fates[i].refusal == REFUSED_BUSY && world.fates[i].retry_ms > 0));
	}
	/* Those that may just be in time are not refused. */
	assert_in_range(kept, 84, 150);
	assert_true(refused_early > 200);
	/* The last ones of the list. */
	assert_int_equal(world.fates[599].what, REFUSED);
	assert_int_equal(world.fates[100].what == REFUSED, false);
	/* A new one is told at once, but not one of another key. */
	for (size_t i = 0; i < 100; i++)
		late = queue_world_offer_small("a", 10);
	assert_int_equal(world.fates[late].what, REFUSED);
	assert_in_range(world.fates[late].retry_ms, 1000, 20000);
	late = queue_world_offer_small("b", 10);
	assert_int_equal(world.fates[late].what, NOTHING);
}

/* A queue that was empty in between has told nothing about what waits now. */
static void
an_old_pace_is_forgotten(void **state)
{
	size_t last = 0;

	(void)state;
	for (size_t i = 0; i < 40; i++)
		queue_world_offer_small("a", 10);
	queue_world_dispatch();
	for (size_t i = 0; i < 40; i++) {
		world.now_us += 1000000;
		queue_world_end(world.started[i]);
		queue_world_dispatch();
	}
	assert_int_equal(world.broker.queue.listed, 0);
	for (size_t i = 0; i < 600; i++)
		last = queue_world_offer_small("a", 10);
	assert_int_equal(world.fates[last].what, NOTHING);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, queue_world_set_up, queue_world_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_full_queue_refuses_whom_it_is_full_of),
		TEST(without_a_queue_runs_start_or_are_refused),
		TEST(memory_stays_within_the_budget),
		TEST(a_large_run_has_its_turn),
		TEST(small_runs_use_what_an_aged_one_leaves),
		TEST(refused_at_its_deadline),
		TEST(what_cannot_start_in_time_is_told_early),
		TEST(an_old_pace_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
