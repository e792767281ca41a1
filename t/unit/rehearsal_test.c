/*
 * rehearsal_test.c - whether the next guest of a pool rehearses, after what the guests before it
 * met.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/pool.h"

#define REHEARSED_US 2500u /* to arm a guest that rehearses */
#define PLAIN_US 700u      /* to arm one that does not */

/*
 * A guest is armed, and a run takes it `idle_us` later; 0: the run had waited. Returns whether the
 * guest rehearsed.
 */
static bool
serve(struct pool *pool, uint64_t idle_us)
{
	bool rehearses = rehearsal_pays(pool);

	rehearsal_taken(pool, (struct rehearsal_guest){ rehearses, idle_us == 0, rehearses ? REHEARSED_US : PLAIN_US, idle_us });
	return rehearses;
}

static void
test_first(void **state)
{
	struct pool pool = { 0 };

	(void)state;
	assert_true(rehearsal_pays(&pool));
}

static void
test_run_waits(void **state)
{
	struct pool pool = { .queued = 2, .arming_count = 1, .armed_count = 1 };

	(void)state;
	assert_true(rehearsal_pays(&pool));
	pool.queued = 3;
	assert_false(rehearsal_pays(&pool));
}

/* Each run comes 2 ms after the guest before was taken: before a rehearsal would have ended. */
static void
test_in_a_row(void **state)
{
	struct pool pool = { 0 };

	(void)state;
	assert_true(serve(&pool, 0));
	for (int i = 0; i < 10; i++)
		assert_false(serve(&pool, 2000 - PLAIN_US));
}

static void
test_after_a_pause(void **state)
{
	struct pool pool = { 0 };

	(void)state;
	assert_true(serve(&pool, 0));
	assert_false(serve(&pool, 0));
	assert_false(serve(&pool, 30000));
	assert_true(serve(&pool, 30000));
	assert_true(serve(&pool, REHEARSED_US / 2));
}

/* Other guests were armed, so no run would have waited. */
static void
test_others_are_armed(void **state)
{
	struct pool pool = { .armed_count = 1 };

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(serve(&pool, 0));
	pool.armed_count = 0;
	assert_true(serve(&pool, 0));
	assert_false(serve(&pool, 0));
}

/* A run waited, and was cancelled. The guest is idle then. */
static void
test_awaited_in_vain(void **state)
{
	struct pool pool = { 0 };

	(void)state;
	rehearsal_taken(&pool, (struct rehearsal_guest){ true, true, REHEARSED_US, 30000 });
	assert_true(rehearsal_pays(&pool));
	rehearsal_taken(&pool, (struct rehearsal_guest){ false, true, PLAIN_US, 30000 });
	assert_true(rehearsal_pays(&pool));
}

/* The machine was busy for a moment. One guest took ten times as long, and a run waited for it. */
static void
test_busy_for_a_moment(void **state)
{
	struct pool pool = { 0 };

	(void)state;
	assert_true(serve(&pool, 30000));
	rehearsal_taken(&pool, (struct rehearsal_guest){ true, true, 10 * REHEARSED_US, 0 });
	assert_false(serve(&pool, 30000));
	assert_true(serve(&pool, 30000));
}

/* The machine has become slower. A run that comes as late as before would wait for a rehearsal. */
static void
test_slower(void **state)
{
	struct pool pool = { 0 };

	(void)state;
	assert_true(serve(&pool, 3000));
	for (int i = 0; i < 60; i++)
		rehearsal_taken(&pool, (struct rehearsal_guest){ true, false, 4 * REHEARSED_US, 9000 });
	rehearsal_taken(&pool, (struct rehearsal_guest){ false, false, PLAIN_US, 2 * REHEARSED_US });
	assert_false(rehearsal_pays(&pool));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_run_waits),
		cmocka_unit_test(test_in_a_row),
		cmocka_unit_test(test_after_a_pause),
		cmocka_unit_test(test_others_are_armed),
		cmocka_unit_test(test_awaited_in_vain),
		cmocka_unit_test(test_busy_for_a_moment),
		cmocka_unit_test(test_slower),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
