/* queue_world.c - see queue_world.h. */
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
#include "queue_world.h"

struct queue_world world;

uint64_t
clock_us(void)
{
	return world.now_us;
}

static void
refused(struct broker *of, struct run *run, enum refusal refusal, uint32_t retry_ms)
{
	assert_ptr_equal(of, &world.broker);
	assert_null(run->account);
	world.fates[run - world.runs] = (struct fate){ REFUSED, refusal, retry_ms, world.now_us };
}

static void
ended(struct broker *of, struct run *run)
{
	(void)of;
	(void)run;
}

static const struct run_owner owner = { .ended = ended, .refused = refused };

int
queue_world_set_up(void **state)
{
	(void)state;
	world.now_us = 1000000;
	world.run_count = world.started_count = 0;
	memset(world.fates, 0, sizeof world.fates);
	memset(world.charges, 0, sizeof world.charges);
	world.from = (struct language_config){ .name = (char *)(uintptr_t) "test", .warm_count = 1 };
	world.config = (struct config){ .cells = CELLS, .reserve = 4, .queue = 2000, .queue_ms = 10000 };
	world.broker = (struct broker){ .config = &world.config,
		.language = world.languages,
		.language_count = 2,
		.memory_most_bytes = 1 << 30 };
	world.broker.loop.wake_us = NEVER_US;
	for (size_t l = 0; l < 2; l++) {
		world.zygotes[l] = (struct zygote){ .language = &world.languages[l], .pid = 1, .is_verified = true };
		world.languages[l] = (struct language){ .all = &world.config,
			.config = &world.from,
			.state = LANGUAGE_SERVING,
			.zygote = &world.zygotes[l],
			.zygote_count = 1 };
	}
	key_accounts_init(&world.broker.accounts);
	run_queue_init(&world.broker);
	return 0;
}

int
queue_world_tear_down(void **state)
{
	(void)state;
	deadline_heap_free(&world.broker.queue.deadlines);
	for (size_t i = 0; i < KEY_ACCOUNT_HASHES; i++) {
		while (!SLIST_EMPTY(&world.broker.accounts.hash[i])) {
			struct key_account *account = SLIST_FIRST(&world.broker.accounts.hash[i]);

			SLIST_REMOVE_HEAD(&world.broker.accounts.hash[i], in_hash);
			free(account);
		}
	}
	return 0;
}

struct run_share
queue_world_share(const char *name, uint32_t weight)
{
	struct run_share share = { .weight = weight, .waiting = UINT32_MAX };

	snprintf(share.name, sizeof share.name, "%s", name);
	return share;
}

/* Offer a run. Returns its number. */
size_t
queue_world_offer(const struct run_share *share, size_t language, uint64_t memory_bytes, uint64_t queue_ms, uint64_t waited_us)
{
	size_t number = world.run_count++;
	struct run *run = &world.runs[number];

	assert_true(number < RUNS);
	assert_true(key_account_is_share(share));
	*run = (struct run){ .owner = &owner,
		.language = &world.languages[language],
		.limits = { .memory_bytes = memory_bytes },
		.pair = world.pair,
		.program_fd = -1,
		.patterns_fd = -1,
		.pack_fd = -1,
		.extraction = { .fd = -1 } };
	run->account = key_account_hold(&world.broker.accounts, share, world.now_us);
	assert_non_null(run->account);
	run_queue_offer(&world.broker, run, queue_ms, waited_us);
	return number;
}

size_t
queue_world_offer_small(const char *name, uint32_t weight)
{
	struct run_share share = queue_world_share(name, weight);

	return queue_world_offer(&share, 0, MIB, 0, 0);
}

/* As the dispatcher does, where every cell is armed. Returns how many runs have started. */
size_t
queue_world_dispatch(void)
{
	size_t before = world.started_count;
	struct run *run;

	run_queue_admit(&world.broker);
	for (size_t l = 0; l < 2; l++) {
		while ((run = run_queue_first(&world.languages[l].pool[0])) != NULL) {
			run_queue_remove(&world.broker, run);
			run->state = RUN_STARTED;
			run_queue_hand_over(run, &world.charges[run - world.runs]);
			world.broker.taken++;
			world.fates[run - world.runs] = (struct fate){ .what = STARTED, .at_us = world.now_us };
			world.started[world.started_count++] = (size_t)(run - world.runs);
		}
	}
	return world.started_count - before;
}

/* A run that has started ends, and its cell is free. */
void
queue_world_end(size_t number)
{
	assert_int_equal(world.fates[number].what, STARTED);
	run_answer(&world.broker, &world.runs[number]);
	run_queue_forget_charge(&world.broker, &world.charges[number]);
	world.broker.taken--;
}

/* How many of the last `count` runs that have started are of this key. */
size_t
queue_world_of_key(const size_t *of, size_t first, size_t count)
{
	size_t found = 0;

	for (size_t i = world.started_count - count; i < world.started_count; i++)
		found += world.started[i] >= of[first];
	return found;
}
