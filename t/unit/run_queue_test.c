/*
 * run_queue_test.c - broker/run_queue.c: which run is next, who is refused, and when. A world of
 * cells that are always armed takes the place of the dispatcher; the time is a number.
 */
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

#include "broker/broker.h"
#include "broker/language.h"
#include "clock.h"

#define RUNS 4096
#define CELLS 32
#define MIB (UINT64_C(1) << 20)

static struct broker broker;
static struct config config;
static struct language_config from;
static struct language languages[2];
static struct zygote zygotes[2];
static struct run runs[RUNS];
static struct run_charge charges[RUNS]; /* of the cell of a run that has started */
static size_t run_count;
static uint64_t now_us;

/* The fate of a run. */
static struct fate {
	enum { NOTHING, STARTED, REFUSED } what;
	enum refusal refusal;
	uint32_t retry_ms;
	uint64_t at_us;
} fates[RUNS];
static size_t started[RUNS]; /* numbers of runs, in the order of their starts */
static size_t started_count;

uint64_t
clock_us(void)
{
	return now_us;
}

static void
refused(struct broker *of, struct run *run, enum refusal refusal, uint32_t retry_ms)
{
	assert_ptr_equal(of, &broker);
	assert_null(run->account);
	fates[run - runs] = (struct fate){ REFUSED, refusal, retry_ms, now_us };
}

static void
ended(struct broker *of, struct run *run)
{
	(void)of;
	(void)run;
}

static const struct run_owner owner = { .ended = ended, .refused = refused };

static int
set_up(void **state)
{
	(void)state;
	now_us = 1000000;
	run_count = started_count = 0;
	memset(fates, 0, sizeof fates);
	memset(charges, 0, sizeof charges);
	from = (struct language_config){ .name = (char *)(uintptr_t) "test", .warm_count = 1 };
	config = (struct config){ .cells = CELLS, .reserve = 4, .queue = 2000, .queue_ms = 10000 };
	broker = (struct broker){ .config = &config, .language = languages, .language_count = 2, .memory_most_bytes = 1 << 30 };
	broker.loop.wake_us = NEVER_US;
	for (size_t l = 0; l < 2; l++) {
		zygotes[l] = (struct zygote){ .language = &languages[l], .pid = 1, .is_verified = true };
		languages[l] = (struct language){ .all = &config,
			.config = &from,
			.state = LANGUAGE_SERVING,
			.zygote = &zygotes[l],
			.zygote_count = 1 };
	}
	key_accounts_init(&broker.accounts);
	run_queue_init(&broker);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	deadline_heap_free(&broker.queue.deadlines);
	for (size_t i = 0; i < KEY_ACCOUNT_HASHES; i++) {
		while (!SLIST_EMPTY(&broker.accounts.hash[i])) {
			struct key_account *account = SLIST_FIRST(&broker.accounts.hash[i]);

			SLIST_REMOVE_HEAD(&broker.accounts.hash[i], in_hash);
			free(account);
		}
	}
	return 0;
}

static struct run_share
share_of(const char *name, uint32_t weight)
{
	struct run_share share = { .weight = weight, .waiting = UINT32_MAX };

	snprintf(share.name, sizeof share.name, "%s", name);
	return share;
}

/* Offer a run. Returns its number. */
static size_t
offer_with(const struct run_share *share, size_t language, uint64_t memory_bytes, uint64_t queue_ms, uint64_t waited_us)
{
	size_t number = run_count++;
	struct run *run = &runs[number];

	assert_true(number < RUNS);
	assert_true(key_account_is_share(share));
	*run = (struct run){ .owner = &owner,
		.language = &languages[language],
		.limits = { .memory_bytes = memory_bytes },
		.program_fd = -1,
		.extraction = { .fd = -1 } };
	run->account = key_account_hold(&broker.accounts, share, now_us);
	assert_non_null(run->account);
	run_queue_offer(&broker, run, queue_ms, waited_us);
	return number;
}

static size_t
offer(const char *name, uint32_t weight)
{
	struct run_share share = share_of(name, weight);

	return offer_with(&share, 0, MIB, 0, 0);
}

/* As the dispatcher does, where every cell is armed. Returns how many runs have started. */
static size_t
dispatch_all(void)
{
	size_t before = started_count;
	struct run *run;

	run_queue_admit(&broker);
	for (size_t l = 0; l < 2; l++) {
		while ((run = run_queue_first(&languages[l].pool[0])) != NULL) {
			run_queue_remove(&broker, run);
			run->state = RUN_STARTED;
			run_queue_hand_over(run, &charges[run - runs]);
			broker.taken++;
			fates[run - runs] = (struct fate){ .what = STARTED, .at_us = now_us };
			started[started_count++] = (size_t)(run - runs);
		}
	}
	return started_count - before;
}

/* A run that has started ends, and its cell is free. */
static void
end(size_t number)
{
	assert_int_equal(fates[number].what, STARTED);
	run_answer(&broker, &runs[number]);
	run_queue_forget_charge(&broker, &charges[number]);
	broker.taken--;
}

/* How many of the last `count` runs that have started are of this key. */
static size_t
of_key(const size_t *of, size_t first, size_t count)
{
	size_t found = 0;

	for (size_t i = started_count - count; i < started_count; i++)
		found += started[i] >= of[first];
	return found;
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

static void
starts_at_once_while_there_are_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < 28; i++)
		offer("a", 10);
	assert_int_equal(dispatch_all(), 28);
	for (size_t i = 0; i < 28; i++)
		assert_int_equal(started[i], i);
}

/* One key has a thousand runs that wait; another one sends one now and then. */
static void
a_flood_delays_its_own_key_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < 1000; i++)
		offer("flood", 10);
	dispatch_all();
	/* The flood has all cells but the reserve. */
	assert_int_equal(started_count, CELLS - config.reserve);
	for (size_t i = 0; i < 100; i++) {
		size_t light = offer("light", 10);

		assert_int_equal(dispatch_all(), 1);
		assert_int_equal(fates[light].what, STARTED);
		end(light);
		now_us += 1000;
	}
	/* Where others have the reserve, it waits for the end of one run. */
	for (size_t i = 0; i < 4; i++)
		offer(i % 2 == 0 ? "other" : "another", 10);
	assert_int_equal(dispatch_all(), 4);
	size_t light = offer("light", 10);
	assert_int_equal(dispatch_all(), 0);
	end(0);
	assert_int_equal(dispatch_all(), 1);
	assert_int_equal(fates[light].what, STARTED);
}

static void
keys_share_by_weight(void **state)
{
	size_t of[3];

	(void)state;
	config.reserve = 0;
	config.cells = 1;
	of[0] = 0;
	for (size_t i = 0; i < 400; i++)
		offer("ten", 10);
	of[1] = run_count;
	for (size_t i = 0; i < 400; i++)
		offer("thirty", 30);
	of[2] = run_count;
	for (size_t i = 0; i < 400; i++)
		offer("five", 5);
	dispatch_all();
	for (size_t i = 0; i < 449; i++) {
		end(started[started_count - 1]);
		assert_int_equal(dispatch_all(), 1);
	}
	/* 450 runs: 10 to 30 to 5. */
	assert_in_range(of_key(of, 2, 450), 49, 51);
	assert_in_range(of_key(of, 1, 450), 349, 351);
	/* Each key's runs have started in their order. */
	for (size_t i = 1, last = 0; i < started_count; i++) {
		if (started[i] >= of[1])
			continue;
		assert_true(started[i] > last);
		last = started[i];
	}
}

/* A heavy weight is a share over time, and not a row of its own runs without an end. */
static void
a_heavy_key_lets_others_in(void **state)
{
	(void)state;
	config.reserve = 0;
	config.cells = 1;
	for (size_t i = 0; i < 500; i++)
		offer("heavy", 1000);
	size_t light = offer("light", 1);
	dispatch_all();
	for (size_t i = 0; fates[light].what == NOTHING; i++) {
		/* Ten rounds of a hundred would be a thousand: there are not so many. */
		assert_true(i < 501);
		end(started[started_count - 1]);
		dispatch_all();
	}
}

static void
no_key_has_the_reserve(void **state)
{
	struct run_share share = share_of("a", 10);

	(void)state;
	share.running = 1000;
	for (size_t i = 0; i < 100; i++)
		offer_with(&share, 0, MIB, 0, 0);
	assert_int_equal(dispatch_all(), CELLS - config.reserve);
	/* An answered run's cell counts until it is free. */
	run_answer(&broker, &runs[0]);
	assert_int_equal(dispatch_all(), 0);
	run_queue_forget_charge(&broker, &charges[0]);
	broker.taken--;
	assert_int_equal(dispatch_all(), 1);
	/* All other keys together may have it. */
	for (size_t i = 0; i < 100; i++)
		offer("b", 10);
	assert_int_equal(dispatch_all(), config.reserve);
}

static void
no_more_run_than_may(void **state)
{
	struct run_share share = share_of("a", 10);

	(void)state;
	share.running = 2;
	for (size_t i = 0; i < 5; i++)
		offer_with(&share, 0, MIB, 0, 0);
	assert_int_equal(dispatch_all(), 2);
	assert_int_equal(dispatch_all(), 0);
	end(1);
	assert_int_equal(dispatch_all(), 1);
	/* The key may have more from now on. */
	share.running = 10;
	offer_with(&share, 0, MIB, 0, 0);
	assert_int_equal(dispatch_all(), 3);
}

/* A key that runs as many as it may, and has none that waits any more, is in no list. */
static void
a_key_at_rest_loses_its_last_run(void **state)
{
	struct run_share share = share_of("a", 10);

	(void)state;
	share.running = 1;
	for (size_t i = 0; i < 2; i++)
		offer_with(&share, 0, MIB, 300 + 9000 * (i == 0), 0);
	assert_int_equal(dispatch_all(), 1);
	assert_int_equal(dispatch_all(), 0);
	now_us += 300000;
	run_queue_keep_time(&broker, now_us);
	assert_int_equal(fates[1].what, REFUSED);
	end(0);
	assert_true(TAILQ_EMPTY(&broker.queue.ring) && TAILQ_EMPTY(&broker.queue.resting));
	offer("b", 10);
	assert_int_equal(dispatch_all(), 1);
}

static void
no_more_wait_than_may(void **state)
{
	struct run_share share = share_of("a", 10);

	(void)state;
	share.running = 2;
	share.waiting = 3;
	for (size_t i = 0; i < 6; i++)
		offer_with(&share, 0, MIB, 0, 0);
	/* Two start at once, three wait. */
	assert_int_equal(fates[4].what, NOTHING);
	assert_int_equal(fates[5].what, REFUSED);
	assert_int_equal(fates[5].refusal, REFUSED_SHARE);
	assert_int_equal(dispatch_all(), 2);
	assert_int_equal(offer_with(&share, 0, MIB, 0, 0), 6);
	assert_int_equal(fates[6].refusal, REFUSED_SHARE);
	/* A key whose runs never wait has them carried out as long as there are cells. */
	share = share_of("never", 10);
	share.waiting = 0;
	share.running = 1;
	offer_with(&share, 0, MIB, 0, 0);
	offer_with(&share, 0, MIB, 0, 0);
	assert_int_equal(fates[8].refusal, REFUSED_SHARE);
	assert_int_equal(dispatch_all(), 1);
	/* The cell of its last run is still being emptied. */
	run_answer(&broker, &runs[7]);
	broker.emptying = 1;
	assert_int_equal(offer_with(&share, 0, MIB, 0, 0), 9);
	assert_int_equal(fates[9].what, NOTHING);
}

/* A language that wakes stops nobody: neither other keys, nor other runs of the same key. */
static void
others_pass_while_a_language_wakes(void **state)
{
	struct run_share share = share_of("a", 10);
	size_t asleep[40], awake;

	(void)state;
	zygotes[1].is_verified = false;
	for (size_t i = 0; i < 40; i++)
		asleep[i] = offer_with(&share, 1, MIB, 0, 0);
	awake = offer_with(&share, 0, MIB, 0, 0);
	assert_int_equal(dispatch_all(), 1);
	assert_int_equal(fates[awake].what, STARTED);
	end(awake);
	assert_int_equal(languages[1].waiting, 40);
	/* One of them is cancelled. */
	run_queue_remove(&broker, &runs[asleep[3]]);
	run_drop(&broker, &runs[asleep[3]]);
	/* It serves: they come before what came later. */
	zygotes[1].is_verified = true;
	awake = offer_with(&share, 0, MIB, 0, 0);
	assert_int_equal(dispatch_all(), 28);
	for (size_t i = 0; i < 28; i++)
		assert_int_equal(started[1 + i], asleep[i < 3 ? i : i + 1]);
	assert_int_equal(fates[awake].what, NOTHING);
}

/* ---- the full queue ------------------------------------------------------------------------------------------------ */

static void
a_full_queue_refuses_whom_it_is_full_of(void **state)
{
	size_t last, light;

	(void)state;
	config.queue = 100;
	for (size_t i = 0; i < 28; i++)
		offer("flood", 10);
	dispatch_all();
	for (size_t i = 0; i < 100; i++)
		last = offer("flood", 10);
	assert_int_equal(fates[last].what, NOTHING);
	assert_int_equal(offer("flood", 10), last + 1);
	assert_int_equal(fates[last + 1].refusal, REFUSED_BUSY);
	broker.taken = CELLS; /* the reserve is taken as well */
	light = offer("light", 10);
	assert_int_equal(fates[light].what, NOTHING);
	assert_int_equal(fates[last].what, REFUSED);
	assert_int_equal(fates[last].refusal, REFUSED_BUSY);
	assert_int_equal(run_queue_count(&broker.queue), 100);
	/* Until it has as much as the other one. */
	for (size_t i = 0; i < 100; i++)
		light = offer("light", 10);
	assert_int_equal(fates[light].what, REFUSED);
	assert_int_equal(run_queue_count(&broker.queue), 100);
	assert_int_equal(broker.queue.listed, 100);
	assert_int_equal(runs[28].account->listed, 50);
}

static void
without_a_queue_runs_start_or_are_refused(void **state)
{
	(void)state;
	config.queue = 0;
	for (size_t i = 0; i < 29; i++)
		offer("a", 10);
	assert_int_equal(fates[27].what, NOTHING);
	assert_int_equal(fates[28].refusal, REFUSED_BUSY);
	assert_int_equal(dispatch_all(), 28);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static void
memory_stays_within_the_budget(void **state)
{
	struct run_share share = share_of("a", 10), other = share_of("b", 10);
	size_t large, small;

	(void)state;
	broker.memory_most_bytes = 1000 * MIB;
	for (size_t i = 0; i < 5; i++)
		offer_with(&share, 0, 300 * MIB, 0, 0);
	assert_int_equal(dispatch_all(), 3);
	assert_int_equal(broker.queue.charged_bytes, 900 * MIB);
	/* One that fits passes. */
	small = offer_with(&other, 0, 100 * MIB, 0, 0);
	assert_int_equal(dispatch_all(), 1);
	assert_int_equal(fates[small].what, STARTED);
	/* The memory is free when the cell is, and not before. */
	run_answer(&broker, &runs[0]);
	assert_int_equal(dispatch_all(), 0);
	run_queue_forget_charge(&broker, &charges[0]);
	broker.taken--;
	assert_int_equal(dispatch_all(), 1);
	/* One that can never fit does not wait. */
	large = offer_with(&other, 0, 1001 * MIB, 0, 0);
	assert_int_equal(fates[large].refusal, REFUSED_BUSY);
	assert_int_equal(fates[large].retry_ms, 0);
}

/* Small runs that come without end do not starve a large one, nor does it stop them. */
static void
a_large_run_has_its_turn(void **state)
{
	struct run_share share = share_of("small", 10), other = share_of("large", 10);
	size_t oldest = 0, large, late;

	(void)state;
	broker.memory_most_bytes = 1000 * MIB;
	for (size_t i = 0; i < 10; i++)
		offer_with(&share, 0, 100 * MIB, 0, 0);
	assert_int_equal(dispatch_all(), 10);
	large = offer_with(&other, 0, 600 * MIB, 0, 0);
	/* For half a second each small one that ends makes room for another one. */
	for (size_t i = 0; i < 10; i++) {
		offer_with(&share, 0, 100 * MIB, 0, 0);
		end(started[oldest++]);
		assert_int_equal(dispatch_all(), 1);
		assert_int_equal(fates[large].what, NOTHING);
		now_us += 49000;
	}
	now_us += 50000;
	assert_true(broker.loop.wake_us <= now_us);
	broker.loop.wake_us = run_queue_keep_time(&broker, now_us);
	/* From then on what it needs is kept free. */
	for (size_t i = 0; i < 6; i++) {
		late = offer_with(&share, 0, 100 * MIB, 0, 0);
		assert_int_equal(dispatch_all(), 0);
		end(started[oldest++]);
	}
	/* Six have ended: it starts, and none of the small ones, which fill the rest already. */
	assert_int_equal(dispatch_all(), 1);
	assert_int_equal(fates[large].what, STARTED);
	assert_int_equal(fates[late].what, NOTHING);
	assert_null(broker.queue.aged);
	end(large);
	assert_int_equal(dispatch_all(), 6);
}

/* Small runs use the memory that an aged one leaves. */
static void
small_runs_use_what_an_aged_one_leaves(void **state)
{
	struct run_share share = share_of("small", 10), other = share_of("large", 10), third = share_of("third", 10);
	size_t large, small;

	(void)state;
	broker.memory_most_bytes = 1000 * MIB;
	offer_with(&third, 0, 500 * MIB, 0, 0);
	dispatch_all();
	large = offer_with(&other, 0, 600 * MIB, 0, 0);
	dispatch_all();
	now_us += 600000;
	dispatch_all();
	assert_ptr_equal(broker.queue.aged, &runs[large]);
	small = offer_with(&share, 0, 100 * MIB, 0, 0);
	assert_int_equal(dispatch_all(), 0); /* 500 + 100 + 600 */
	end(0);
	assert_int_equal(dispatch_all(), 2);
	assert_int_equal(fates[small].what, STARTED);
	/* An aged run that goes away keeps nothing. */
	large = offer_with(&other, 0, 600 * MIB, 0, 0);
	dispatch_all();
	now_us += 600000;
	dispatch_all();
	assert_ptr_equal(broker.queue.aged, &runs[large]);
	run_queue_remove(&broker, &runs[large]);
	run_drop(&broker, &runs[large]);
	assert_null(broker.queue.aged);
	offer_with(&share, 0, 300 * MIB, 0, 0);
	assert_int_equal(dispatch_all(), 1);
}

/* ---- deadlines ---------------------------------------------------------------------------------------------------- */

static void
refused_at_its_deadline(void **state)
{
	struct run_share share = share_of("a", 10);
	size_t usual, brief, waited, late;

	(void)state;
	broker.taken = CELLS;
	usual = offer_with(&share, 0, MIB, 0, 0);
	brief = offer_with(&share, 0, MIB, 500, 0);
	waited = offer_with(&share, 0, MIB, 600000, 4000000);
	late = offer_with(&share, 0, MIB, 300, 300000);
	assert_int_equal(fates[late].refusal, REFUSED_BUSY);
	assert_int_equal(runs[waited].queued_us, 0); /* the clock had not begun then */
	now_us += 499999;
	run_queue_keep_time(&broker, now_us);
	assert_int_equal(fates[brief].what, NOTHING);
	now_us += 1;
	run_queue_keep_time(&broker, now_us);
	assert_int_equal(fates[brief].refusal, REFUSED_BUSY);
	now_us += 5500000;
	assert_true(run_queue_keep_time(&broker, now_us) > now_us);
	assert_int_equal(fates[waited].what, REFUSED);
	assert_int_equal(fates[usual].what, NOTHING);
	now_us += 4000000;
	run_queue_keep_time(&broker, now_us);
	assert_int_equal(fates[usual].what, REFUSED);
	assert_int_equal(run_queue_count(&broker.queue), 0);
	assert_int_equal(broker.accounts.count, 0);
	/* Whatever a worker says. */
	late = offer_with(&share, 0, MIB, UINT64_MAX, UINT64_MAX);
	assert_int_equal(fates[late].what, REFUSED);
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
		offer("a", 10);
	/* At first nobody knows how long they take. */
	for (size_t i = 0; i < 600; i++)
		assert_int_equal(fates[i].what, NOTHING);
	dispatch_all();
	for (int step = 0; step < 40; step++) {
		now_us += 100000;
		run_queue_keep_time(&broker, now_us);
		/* Runs end evenly, from the second second on. */
		for (size_t i = 0; step >= 10 && i < 14 * (size_t)(step + 1) / 10 - 14 * (size_t)step / 10; i++)
			end(started[next++]);
		dispatch_all();
	}
	for (size_t i = 0; i < 600; i++) {
		refused_early += fates[i].what == REFUSED;
		kept += fates[i].what == NOTHING;
		assert_true(fates[i].what != REFUSED || (fates[i].refusal == REFUSED_BUSY && fates[i].retry_ms > 0));
	}
	/* Those that may just be in time are not refused. */
	assert_in_range(kept, 84, 150);
	assert_true(refused_early > 200);
	/* The last ones of the list. */
	assert_int_equal(fates[599].what, REFUSED);
	assert_int_equal(fates[100].what == REFUSED, false);
	/* A new one is told at once, but not one of another key. */
	for (size_t i = 0; i < 100; i++)
		late = offer("a", 10);
	assert_int_equal(fates[late].what, REFUSED);
	assert_in_range(fates[late].retry_ms, 1000, 20000);
	late = offer("b", 10);
	assert_int_equal(fates[late].what, NOTHING);
}

/* A queue that was empty in between has told nothing about what waits now. */
static void
an_old_pace_is_forgotten(void **state)
{
	size_t last = 0;

	(void)state;
	for (size_t i = 0; i < 40; i++)
		offer("a", 10);
	dispatch_all();
	for (size_t i = 0; i < 40; i++) {
		now_us += 1000000;
		end(started[i]);
		dispatch_all();
	}
	assert_int_equal(broker.queue.listed, 0);
	for (size_t i = 0; i < 600; i++)
		last = offer("a", 10);
	assert_int_equal(fates[last].what, NOTHING);
}

/* ---- in and out --------------------------------------------------------------------------------------------------- */

static void
a_run_is_taken_out_wherever_it_is(void **state)
{
	(void)state;
	broker.taken = CELLS;
	for (size_t i = 0; i < 1000; i++)
		offer(i % 3 == 0 ? "a" : "b", 10);
	for (size_t i = 0; i < 1000; i++) {
		size_t number = i * 7 % 1000;

		run_queue_remove(&broker, &runs[number]);
		run_drop(&broker, &runs[number]);
		assert_int_equal(run_queue_count(&broker.queue), 999 - i);
		for (uint32_t at = 1; at < broker.queue.deadlines.count; at++)
			assert_true(
			    broker.queue.deadlines.run[(at - 1) / 2]->deadline_us <= broker.queue.deadlines.run[at]->deadline_us);
	}
	assert_int_equal(broker.accounts.count, 0);
	assert_int_equal(languages[0].waiting, 0);
	assert_int_equal(broker.queue.weights, 0);
}

static void
a_language_that_fails_has_its_runs_refused(void **state)
{
	struct run_share share = share_of("a", 10);

	(void)state;
	broker.taken = CELLS;
	/* Their deadlines are in no order. */
	for (size_t i = 0; i < 500; i++)
		offer_with(&share, i % 2, MIB, 100 + i * 37 % 500, 0);
	run_queue_refuse(&broker, &languages[1], NULL, REFUSED_UNAVAILABLE, "it failed", 0);
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(fates[i].what, i % 2 == 1 ? REFUSED : NOTHING);
	run_queue_refuse(&broker, NULL, NULL, REFUSED_UNAVAILABLE, "all", 0);
	assert_int_equal(run_queue_count(&broker.queue), 0);
}

/* A cell that was given up at the last moment costs a run nothing. */
static void
a_run_that_is_put_back_is_next(void **state)
{
	struct run *run;

	(void)state;
	offer("a", 10);
	offer("a", 10);
	run_queue_admit(&broker);
	run = run_queue_first(&languages[0].pool[0]);
	assert_ptr_equal(run, &runs[0]);
	run_queue_remove(&broker, run);
	run_queue_restore(&broker, run);
	assert_ptr_equal(run_queue_first(&languages[0].pool[0]), run);
	assert_int_equal(dispatch_all(), 2);
	end(0);
	end(1);
	assert_int_equal(broker.queue.charged_bytes, 0);
	assert_int_equal(broker.accounts.count, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
		TEST(a_full_queue_refuses_whom_it_is_full_of),
		TEST(without_a_queue_runs_start_or_are_refused),
		TEST(memory_stays_within_the_budget),
		TEST(a_large_run_has_its_turn),
		TEST(small_runs_use_what_an_aged_one_leaves),
		TEST(refused_at_its_deadline),
		TEST(what_cannot_start_in_time_is_told_early),
		TEST(an_old_pace_is_forgotten),
		TEST(a_run_is_taken_out_wherever_it_is),
		TEST(a_language_that_fails_has_its_runs_refused),
		TEST(a_run_that_is_put_back_is_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
