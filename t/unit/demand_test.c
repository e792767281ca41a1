/* demand_test.c - the most runs of a pool that were under way at once lately. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/demand.h"
#include "broker/loop.h"

#define PERIOD_US 100000u
#define START_US 5000000u

static void
test_nothing_yet(void **state)
{
	struct demand demand = { 0 };

	(void)state;
	assert_int_equal(demand_most(&demand, START_US), 0);
	assert_true(demand_next_us(&demand) == NEVER_US);
}

/* The most of a period counts until the end of the next one. */
static void
test_most(void **state)
{
	struct demand demand = { 0 };

	(void)state;
	demand_count(&demand, START_US, 3);
	demand_count(&demand, START_US + 1, 8);
	demand_count(&demand, START_US + 2, 2);
	assert_int_equal(demand_most(&demand, START_US + 3), 8);
	assert_int_equal(demand_next_us(&demand), START_US + PERIOD_US);
	demand_count(&demand, START_US + PERIOD_US, 4);
	assert_int_equal(demand_most(&demand, START_US + 2 * PERIOD_US - 1), 8);
	assert_int_equal(demand_most(&demand, START_US + 2 * PERIOD_US), 4);
	assert_int_equal(demand_most(&demand, START_US + 3 * PERIOD_US), 0);
	assert_true(demand_next_us(&demand) == NEVER_US);
}

/* Nobody looked for a while. */
static void
test_pause(void **state)
{
	struct demand demand = { 0 };

	(void)state;
	demand_count(&demand, START_US, 8);
	assert_int_equal(demand_most(&demand, START_US + 3 * PERIOD_US), 0);
	demand_count(&demand, START_US + 3 * PERIOD_US, 1);
	assert_int_equal(demand_most(&demand, START_US + 3 * PERIOD_US), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_yet),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_pause),
	};

	return cmocka_run_group_tests_name("demand", tests, NULL, NULL);
}
