/*
 * meter_test.c - the broker's figures: only the broker can write them, each event is counted once,
 * the accounts of keys are bounded and no sum of them shrinks, and counting is cheap.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/client.h"
#include "broker/language.h"
#include "broker/meter.h"
#include "clock.h"

static struct language_config language_config = { .name = "python3" };
static struct config config = { .cells = 2, .queue = 5, .compiled_bytes = 100 };
static struct language language = { .config = &language_config };
static struct cell cells[2];
static struct broker broker;
static struct run run = { .language = &language };

/* The time by which keys fall silent. */
static uint64_t now_us;

uint64_t __wrap_clock_us(void);

uint64_t
__wrap_clock_us(void)
{
	return now_us;
}

static int
begin(void **state)
{
	(void)state;
	memset(&language.zygote, 0, sizeof language.zygote);
	memset(cells, 0, sizeof cells);
	broker = (struct broker){ .config = &config, .language = &language, .language_count = 1, .cell = cells };
	now_us = 1000000;
	meter_begin(&broker);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	munmap(broker.metrics, sizeof *broker.metrics);
	close(broker.metrics_fd);
	return 0;
}

static void
run_of(const char *key)
{
	const struct run_result result = { .verdict = VERDICT_OK, .wall_us = 1500, .spawn_us = 10, .cpu_us = 700, .queue_us = 3 };

	meter_ended(&broker, &run, &result, key);
}

static void
nobody_else_can_write(void **state)
{
	struct stat st;
	int fd = meter_collect(&broker), status;
	void *reader;
	pid_t pid;

	(void)state;
	assert_true(mmap(NULL, sizeof *broker.metrics, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	reader = mmap(NULL, sizeof *broker.metrics, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(reader != MAP_FAILED);
	assert_int_equal(mprotect(reader, sizeof *broker.metrics, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, sizeof *broker.metrics);
	run_of("alice");
	assert_int_equal(((struct metrics *)reader)->language[0].runs[VERDICT_OK], 1);
	munmap(reader, sizeof *broker.metrics);

	/* Nor has a child of the broker, such as a warden, the mapping that can be written. */
	pid = fork();
	if (pid == 0) {
		unsigned char there;

		_exit(mincore(broker.metrics, 1, &there) != 0 && errno == ENOMEM ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
a_run_is_counted_once(void **state)
{
	const struct metrics_language *figures = &broker.metrics->language[0];

	(void)state;
	run_of("alice");
	assert_string_equal(figures->name, "python3");
	assert_int_equal(figures->runs[VERDICT_OK], 1);
	assert_int_equal(figures->time[METRICS_WALL].bucket[2], 1); /* 1 to 2.5 ms */
	assert_int_equal(figures->time[METRICS_WALL].sum_us, 1500);
	assert_int_equal(figures->time[METRICS_SPAWN].bucket[0], 1);
	assert_int_equal(figures->time[METRICS_CPU].bucket[1], 1);
	assert_string_equal(broker.metrics->key[0].name, "alice");
	assert_int_equal(broker.metrics->key[0].runs, 1);
	assert_int_equal(broker.metrics->key[0].cpu_us, 700);
	meter_refused(&broker, &run, REFUSED_RATE, "alice");
	assert_int_equal(figures->refusals[REFUSED_RATE], 1);
	assert_int_equal(broker.metrics->key[0].refusals, 1);
	assert_int_equal(broker.metrics->key[0].runs, 1);
}

static void
a_run_that_never_began_has_no_times(void **state)
{
	const struct run_result result = { .verdict = VERDICT_CANCELLED };

	(void)state;
	meter_ended(&broker, &run, &result, "");
	assert_int_equal(broker.metrics->language[0].runs[VERDICT_CANCELLED], 1);
	assert_int_equal(broker.metrics->language[0].time[METRICS_WALL].bucket[0], 0);
}

static void
the_last_bucket_has_no_end(void **state)
{
	const struct run_result result = { .verdict = VERDICT_OK, .wall_us = UINT64_C(86400000000), .spawn_us = 500 };

	(void)state;
	meter_ended(&broker, &run, &result, "");
	assert_int_equal(broker.metrics->language[0].time[METRICS_WALL].bucket[METRICS_BUCKETS], 1);
	assert_int_equal(broker.metrics->language[0].time[METRICS_SPAWN].bucket[0], 1); /* its end belongs to a bucket */
}

static void
denied_calls(void **state)
{
	struct run_result result = { .verdict = VERDICT_EXIT, .spawn_us = 1 };

	(void)state;
	result.denied.call[0] = (struct denied_call){ 41, 3 };
	result.denied.call[1] = (struct denied_call){ 0xffffffff, 2 };
	result.denied.total = 10;
	meter_ended(&broker, &run, &result, "");
	assert_int_equal(broker.metrics->denied[41], 3);
	assert_int_equal(broker.metrics->denied[METRICS_CALLS], 7);
}

static uint64_t
all_runs(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i <= METRICS_KEYS; i++)
		sum += broker.metrics->key[i].runs;
	return sum;
}

static void
keys_are_bounded(void **state)
{
	struct metrics_key *others = &broker.metrics->key[METRICS_KEYS];
	char name[PROTO_KEY_NAME_SIZE];

	(void)state;
	for (int i = 0; i < 3 * METRICS_KEYS; i++) {
		snprintf(name, sizeof name, "key-%d", i);
		run_of(name);
		now_us++;
	}
	assert_int_equal(others->runs, 2 * METRICS_KEYS);
	assert_string_equal(broker.metrics->key[METRICS_KEYS - 1].name, "key-99");
	/* A key in use keeps its place; the one that was silent longest gives its own away. */
	now_us += 599000000;
	run_of("key-0");
	run_of("late");
	assert_int_equal(others->runs, 2 * METRICS_KEYS + 1);
	now_us += 2000000;
	run_of("late");
	assert_string_equal(broker.metrics->key[0].name, "key-0");
	assert_string_equal(broker.metrics->key[1].name, "late");
	assert_int_equal(broker.metrics->key[1].turn % 2, 0);
	assert_int_equal(broker.metrics->key[1].runs, 1);
	assert_int_equal(others->runs, 2 * METRICS_KEYS + 2); /* with the run of key-1 */
	assert_int_equal(all_runs(), 3 * METRICS_KEYS + 3);
	/* A run without a key is one of the others'. */
	run_of("");
	assert_int_equal(others->runs, 2 * METRICS_KEYS + 3);
}

static void
zygotes(void **state)
{
	static struct zygote zygote[2] = {
		{ .language = &language, .pid = 5, .is_verified = true, .serves_us = 400000, .forks = 7 },
		{ .language = &language, .pid = 6, .is_verified = true, .serves_us = 900000, .forks = 2 },
	};
	const struct metrics_language *figures = &broker.metrics->language[0];

	(void)state;
	language.zygote = zygote;
	language.zygote_count = 2;
	language.state = LANGUAGE_SERVING;
	cells[0] = (struct cell){ .state = CELL_RUNNING, .language = &language };
	meter_collect(&broker);
	assert_int_equal(figures->zygotes, 2);
	assert_int_equal(figures->zygote_oldest_us, 600000);
	assert_int_equal(figures->zygote_forks, 9);
	assert_int_equal(figures->state, METRICS_SERVING);
	assert_int_equal(figures->running, 1);
	assert_string_equal(broker.metrics->cells[CELL_RUNNING].state, "running");
	assert_int_equal(broker.metrics->cells[CELL_RUNNING].count, 1);
	assert_int_equal(broker.metrics->cells[CELL_FREE].count, 1);
	/* The forks of a replaced zygote stay in the sum, also when its place is used again. */
	meter_zygote_replaced(&broker, &language);
	zygote[0].pid = 0;
	meter_collect(&broker);
	assert_int_equal(figures->zygotes, 1);
	assert_int_equal(figures->zygote_forks, 9);
	meter_zygote_follows(&broker, &zygote[0]);
	zygote[0].forks = 0;
	meter_collect(&broker);
	assert_int_equal(figures->zygote_forks, 9);
	assert_int_equal(figures->zygotes_replaced, 1);
	language.zygote_count = 0;
}

/*
 * Two runs of a key wait for their turn, and one is admitted. Two runs have cells: one is of that
 * key, the other of a key without a place.
 */
static void
runs_that_wait(void **state)
{
	const struct run_share share = { .name = "alice", .weight = 10 };
	struct metrics_key *alice = &broker.metrics->key[0], *others = &broker.metrics->key[METRICS_KEYS];
	struct key_account *account;

	(void)state;
	key_accounts_init(&broker.accounts);
	account = key_account_hold(&broker.accounts, &share, now_us);
	account->running = 2;
	account->waiting = 2;
	language.waiting = 3;
	broker.running = 2;
	broker.queue.deadlines.count = 3;
	broker.queue.listed = 1;
	broker.queue.parked = 1;
	broker.queue.admitted = 1;
	run_of("alice");
	meter_collect(&broker);
	assert_int_equal(broker.metrics->language[0].queued, 3);
	assert_int_equal(broker.metrics->queued, 3);
	assert_int_equal(broker.metrics->running, 2);
	assert_int_equal(alice->running, 2);
	assert_int_equal(alice->waiting, 2);
	assert_int_equal(others->running, 1);
	assert_int_equal(others->waiting, 0);
	key_account_release(&broker.accounts, account, now_us);
	meter_collect(&broker);
	assert_int_equal(alice->running, 0);
	language.waiting = 0;
}

/* The bound is generous, because machines are shared; the figure is in docs/monitoring.md. */
static void
counting_is_cheap(void **state)
{
	enum { RUNS = 200000 };
	struct timespec from, to;
	double ns;

	(void)state;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < RUNS; i++)
		run_of(i % 2 == 0 ? "alice" : "bob");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	ns = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / RUNS;
	print_message("# counting a run takes %.0f ns\n", ns);
	assert_true(ns < 5000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_else_can_write, begin, end),
		cmocka_unit_test_setup_teardown(a_run_is_counted_once, begin, end),
		cmocka_unit_test_setup_teardown(a_run_that_never_began_has_no_times, begin, end),
		cmocka_unit_test_setup_teardown(the_last_bucket_has_no_end, begin, end),
		cmocka_unit_test_setup_teardown(denied_calls, begin, end),
		cmocka_unit_test_setup_teardown(keys_are_bounded, begin, end),
		cmocka_unit_test_setup_teardown(zygotes, begin, end),
		cmocka_unit_test_setup_teardown(runs_that_wait, begin, end),
		cmocka_unit_test_setup_teardown(counting_is_cheap, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
