/*
 * stretch_test.c - how long a run gets on a machine that is slower than it should be. The times of
 * the run are simulated: the machine runs it for one microsecond of every `slowness`.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/language.h"
#include "broker/stall.h"
#include "broker/stretch.h"

#define MS 1000u /* in us */
#define LIMIT_MS 1000u
#define SLOWEST 100u /* how much longer a run may take than its limit */

static struct {
	uint64_t wall_us;
	uint64_t cpu_us;
	bool is_runnable;
	unsigned looks;
} now;

/* The busiest thread of a run that never sleeps: it runs, or waits to run. */
struct busiest
stall_find_busiest(const struct broker *broker, const struct cell *cell)
{
	(void)broker;
	(void)cell;
	now.looks++;
	return (struct busiest){ now.is_runnable ? now.wall_us : now.cpu_us, now.is_runnable };
}

uint64_t
stall_of(uint64_t busiest_us, uint64_t cpu_us, uint32_t cpu_percent)
{
	(void)cpu_percent;
	return busiest_us > cpu_us ? busiest_us - cpu_us : 0;
}

uint64_t
cell_run_cpu_us(const struct broker *broker, const struct cell *cell)
{
	(void)broker;
	(void)cell;
	return now.cpu_us;
}

/* The processor time of a run with a limit of LIMIT_MS, when it met its end. */
static uint64_t
run(unsigned slowness, bool sleeps, struct cell *cell)
{
	static struct config config = { .stall_percent = (SLOWEST - 1) * 100 };
	static const struct language_config maximum = { .limits.maximum.wall_ms = LIMIT_MS * SLOWEST };
	static struct language language = { .config = &maximum };
	static struct broker broker = { .config = &config };

	*cell = (struct cell){ .limits = { .wall_ms = LIMIT_MS, .processes = 1 }, .language = &language };
	now.looks = 0;
	stretch_begin(cell);
	do {
		now.wall_us = cell->wall_limit_us;
		now.cpu_us = now.wall_us / slowness;
		now.is_runnable = !sleeps;
	} while (stretch_wall_limit(&broker, cell, now.wall_us, now.cpu_us));
	return now.cpu_us;
}

/* However slow the machine is: the run has the time of its limit, and hardly more. */
static void
test_slow(void **state)
{
	static const unsigned slowness[] = { 1, 2, 5, 10, 25, 50, 90 };
	struct cell cell;

	(void)state;
	for (size_t i = 0; i < sizeof slowness / sizeof *slowness; i++) {
		uint64_t cpu_us = run(slowness[i], false, &cell);

		assert_in_range(cpu_us, LIMIT_MS * MS * 95 / 100, LIMIT_MS * MS * 105 / 100);
		assert_false(cell.is_starved);
		assert_in_range(now.looks, 0, 350);
	}
}

/* It ends at the most that is allowed, and not after it; then its end says nothing about it. */
static void
test_too_slow(void **state)
{
	struct cell cell;

	(void)state;
	run(1000, false, &cell);
	assert_int_equal(now.wall_us, LIMIT_MS * MS * SLOWEST);
	assert_true(cell.is_starved);
	assert_in_range(now.looks, 1, 350);
}

static void
test_asleep(void **state)
{
	struct cell cell;

	(void)state;
	run(1000, true, &cell);
	assert_int_equal(now.wall_us, LIMIT_MS * MS);
	assert_in_range(now.looks, 0, 1);
	assert_false(cell.is_starved);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_too_slow),
		cmocka_unit_test(test_asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
