/*
 * language_test.c - broker/language.c: the states of a language, and what each event makes of them.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "clock.h"

static struct broker broker;
static struct config config;
static struct language_config from;
static struct language language;
static unsigned woken;   /* times that the level was told of it */
static unsigned refused; /* times that the runs of the language were refused */

uint64_t
clock_us(void)
{
	return 1000000;
}

void
run_queue_refuse(struct broker *of, const struct language *which, const struct pool *pool, enum refusal refusal, const char *step,
    int error)
{
	assert_ptr_equal(of, &broker);
	assert_ptr_equal(which, &language);
	assert_null(pool);
	assert_int_equal(refusal, REFUSED_UNAVAILABLE);
	assert_string_equal(step, language.reason);
	assert_int_equal(error, 0);
	refused++;
}

static void
waken(const struct broker *of, const struct language *which)
{
	assert_ptr_equal(of, &broker);
	assert_ptr_equal(which, &language);
	assert_int_equal(which->state, LANGUAGE_ASLEEP);
	woken++;
}

static const struct isolation isolation = { .waken = waken };

static int
set_up(void **state)
{
	(void)state;
	refused = 0;
	woken = 0;
	from = (struct language_config){ .start = START_ZYGOTE, .warm_count = 1 };
	broker = (struct broker){ .config = &config, .isolation = &isolation };
	broker.loop.wake_us = NEVER_US;
	language = (struct language){ .all = &config,
		.config = &from,
		.state = LANGUAGE_ASLEEP,
		.start = START_ZYGOTE,
		.warden = { .sock = -1 },
		.kinds = 1 };
	return 0;
}

static void
fails_and_comes_back_after_its_sleep(void **state)
{
	(void)state;
	language_wake(&broker, &language, 0);
	assert_int_equal(language.state, LANGUAGE_STARTING);
	assert_int_equal(woken, 1);
	language_wake(&broker, &language, 0);
	assert_int_equal(woken, 1);
	assert_true(broker.loop.wake_us == 0);
	language_event(&broker, &language, LANGUAGE_FAILED, "no interpreter");
	assert_int_equal(language.state, LANGUAGE_FAILING);
	assert_string_equal(language.reason, "no interpreter");
	assert_int_equal(refused, 1);
	/* Asleep it has no reason, and the next run wakes it. */
	language_sleep(&broker, &language);
	assert_int_equal(language.state, LANGUAGE_ASLEEP);
	assert_string_equal(language.reason, "");
	language_wake(&broker, &language, 0);
	assert_int_equal(language.state, LANGUAGE_STARTING);
}

static void
comes_back_without_a_sleep(void **state)
{
	(void)state;
	language_wake(&broker, &language, 0);
	language_event(&broker, &language, LANGUAGE_FAILED, "no interpreter");
	language_event(&broker, &language, LANGUAGE_REPORTED, NULL);
	assert_int_equal(language.state, LANGUAGE_STARTING);
	assert_string_equal(language.reason, "");
	language_event(&broker, &language, LANGUAGE_SERVES, NULL);
	assert_int_equal(language.state, LANGUAGE_SERVING);
}

static void
tries_zygotes_again_at_its_next_waking(void **state)
{
	(void)state;
	language_wake(&broker, &language, 0);
	language.start = START_SPARE;
	language.shortfall[0] = 'x';
	language_sleep(&broker, &language);
	assert_int_equal(language.start, START_SPARE);
	language_wake(&broker, &language, 0);
	assert_int_equal(language.start, START_ZYGOTE);
	assert_string_equal(language.shortfall, "");
}

static void
serving_survives_a_failure_beside_it(void **state)
{
	(void)state;
	language_wake(&broker, &language, 0);
	language_event(&broker, &language, LANGUAGE_SERVES, NULL);
	language_event(&broker, &language, LANGUAGE_FAILED, "another zygote");
	assert_int_equal(language.state, LANGUAGE_SERVING);
	assert_string_equal(language.reason, "");
	assert_int_equal(refused, 0);
	language_event(&broker, &language, LANGUAGE_LOST, NULL);
	assert_int_equal(language.state, LANGUAGE_STARTING);
}

static void
missing_until_it_appears(void **state)
{
	(void)state;
	language.state = LANGUAGE_MISSING;
	language.reason[0] = 'x';
	for (int event = 0; event < LANGUAGE_EVENTS; event++) {
		if (event != LANGUAGE_APPEARS)
			language_event(&broker, &language, (enum language_event)event, "no");
	}
	assert_int_equal(language.state, LANGUAGE_MISSING);
	assert_string_equal(language.reason, "x");
	assert_false(language_is_awake(&language));
	language_event(&broker, &language, LANGUAGE_APPEARS, NULL);
	assert_int_equal(language.state, LANGUAGE_ASLEEP);
	assert_string_equal(language.reason, "");
}

/* A program is not kept waiting for a zygote that has its modules, if another one serves. */
static void
a_set_without_a_zygote_is_served_by_the_first(void **state)
{
	static char driver[] = "python3";
	struct zygote zygote[2] = { { .pool = GRANT_PROCESSES, .pid = 1, .is_verified = true },
		{ .pool = GRANT_COUNT + GRANT_PROCESSES, .pid = 2 } };

	(void)state;
	from.driver = driver;
	from.warm_count = 2;
	language.zygote = zygote;
	language.zygote_count = 2;
	assert_int_equal(language_pool_for_now(&language, zygote[1].pool), zygote[0].pool);
	/* None of this grant serves: it waits for the one that suits it. */
	assert_int_equal(language_pool_for_now(&language, GRANT_COUNT), GRANT_COUNT);
	zygote[1].is_verified = true;
	assert_int_equal(language_pool_for_now(&language, zygote[1].pool), zygote[1].pool);
	zygote[1].pid = 0;
	language.start = START_SPARE;
	assert_int_equal(language_pool_for_now(&language, zygote[1].pool), zygote[1].pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(fails_and_comes_back_after_its_sleep, set_up),
		cmocka_unit_test_setup(comes_back_without_a_sleep, set_up),
		cmocka_unit_test_setup(tries_zygotes_again_at_its_next_waking, set_up),
		cmocka_unit_test_setup(serving_survives_a_failure_beside_it, set_up),
		cmocka_unit_test_setup(missing_until_it_appears, set_up),
		cmocka_unit_test_setup(a_set_without_a_zygote_is_served_by_the_first, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
