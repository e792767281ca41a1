/*
 * key_account_test.c - broker/key_account.c: whose shares are accepted, what a rate allows, and
 * when an account is forgotten.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/key_account.h"

#define SECOND UINT64_C(1000000)

static struct key_accounts accounts;
static struct run_share share;
static uint64_t now_us;

static int
set_up(void **state)
{
	(void)state;
	key_accounts_init(&accounts);
	share = (struct run_share){ .name = "key", .weight = 10, .waiting = 5, .rate = 10, .burst = 4 };
	now_us = 1000 * SECOND;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < KEY_ACCOUNT_HASHES; i++) {
		while (!SLIST_EMPTY(&accounts.hash[i])) {
			struct key_account *account = SLIST_FIRST(&accounts.hash[i]);

			SLIST_REMOVE_HEAD(&accounts.hash[i], in_hash);
			free(account);
		}
	}
	return 0;
}

static struct key_account *
hold(const char *name)
{
	snprintf(share.name, sizeof share.name, "%s", name);
	return key_account_hold(&accounts, &share, now_us);
}

static void
every_number_is_checked(void **state)
{
	(void)state;
#define WRONG(change) \
	do { \
		struct run_share was = share; \
		assert_true(key_account_is_share(&share)); \
		change; \
		assert_false(key_account_is_share(&share)); \
		share = was; \
	} while (0)
	WRONG(share.weight = 0);
	WRONG(share.weight = 1001);
	WRONG(share.running = 4097);
	WRONG(share.waiting = 65537);
	WRONG(share.waiting = UINT32_MAX - 1);
	WRONG(share.rate = 1000001);
	WRONG(share.burst = 1000001);
	WRONG(share.reserved = 1);
	WRONG(share.name[0] = '\0');
	WRONG(memset(share.name, 'x', sizeof share.name));
	WRONG(share.name[1] = ' ');
	WRONG(share.name[1] = '\n');
	WRONG(share.name[1] = '"');
	WRONG(share.name[1] = '\\');
	WRONG(share.name[1] = '/');
	WRONG(share.name[1] = '\x7f');
	WRONG(share.name[1] = '\x80');
	share.waiting = UINT32_MAX;
	memset(share.name, 'x', sizeof share.name - 1);
	share.name[sizeof share.name - 1] = '\0';
	assert_true(key_account_is_share(&share));
}

static void
a_rate_and_its_burst(void **state)
{
	struct key_account *account = hold("key");
	struct proto_account report = key_account_report(account, now_us);

	(void)state;
	assert_int_equal(report.rate_left, 5);
	assert_int_equal(report.rate_reset_ms, 0);
	for (int i = 0; i < 5; i++)
		assert_true(key_account_take(account, now_us));
	assert_false(key_account_take(account, now_us));
	assert_int_equal(key_account_next_ms(account, now_us), 100);
	report = key_account_report(account, now_us);
	assert_int_equal(report.rate_left, 0);
	assert_int_equal(report.rate_reset_ms, 500);
	now_us += 99999;
	assert_false(key_account_take(account, now_us));
	now_us += 1;
	assert_true(key_account_take(account, now_us));
	assert_false(key_account_take(account, now_us));
	/* Over a minute it is the rate. */
	for (int i = 0, taken = 0; i <= 60000; i++) {
		now_us += 1000;
		taken += key_account_take(account, now_us);
		assert_true(i < 60000 || (taken >= 599 && taken <= 601));
	}
	/* A year later, it is the burst and not more. */
	now_us += 86400 * 365 * SECOND;
	assert_int_equal(key_account_report(account, now_us).rate_left, 5);
}

static void
without_a_rate_all_is_allowed(void **state)
{
	struct key_account *account;

	(void)state;
	share.rate = share.burst = 0;
	account = hold("key");
	for (int i = 0; i < 1000; i++)
		assert_true(key_account_take(account, now_us));
	assert_int_equal(key_account_report(account, now_us).rate_left, UINT32_MAX);
	/* A rate without a burst allows one, and the next one in its time. */
	share.rate = 2;
	account = hold("key");
	assert_true(key_account_take(account, now_us));
	assert_false(key_account_take(account, now_us));
	assert_int_equal(key_account_next_ms(account, now_us), 500);
}

static void
forgotten_with_a_full_bucket_only(void **state)
{
	struct key_account *account = hold("key");

	(void)state;
	assert_true(key_account_take(account, now_us));
	assert_true(key_account_take(account, now_us));
	assert_ptr_equal(key_account_hold_too(account), account);
	key_account_release(&accounts, account, now_us + 60 * SECOND);
	assert_int_equal(accounts.count, 1);
	/* A key that comes back at once has the rest. */
	key_account_release(&accounts, account, now_us);
	assert_int_equal(accounts.count, 1);
	account = hold("key");
	assert_int_equal(key_account_report(account, now_us).rate_left, 3);
	key_account_release(&accounts, account, now_us);
	/* Later, another key's request clears it away. */
	now_us += 10 * SECOND;
	account = hold("other");
	assert_int_equal(accounts.count, 1);
	key_account_release(&accounts, account, now_us);
	assert_int_equal(accounts.count, 0);
}

static void
the_table_is_bounded(void **state)
{
	static struct key_account *held[KEY_ACCOUNTS_MAX];
	char name[16];

	(void)state;
	share.rate = 1;
	for (unsigned i = 0; i < KEY_ACCOUNTS_MAX; i++) {
		snprintf(name, sizeof name, "%u", i);
		held[i] = hold(name);
		assert_true(key_account_take(held[i], now_us));
	}
	assert_null(hold("one more"));
	assert_ptr_equal(hold("7"), held[7]);
	/* The one that was idle for longest makes room, though its bucket is not full. */
	key_account_release(&accounts, held[8], now_us);
	key_account_release(&accounts, held[9], now_us);
	assert_non_null(hold("one more"));
	assert_ptr_equal(hold("9"), held[9]);
	assert_null(hold("8"));
	assert_int_equal(accounts.count, KEY_ACCOUNTS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_number_is_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_rate_and_its_burst, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_a_rate_all_is_allowed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forgotten_with_a_full_bucket_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_table_is_bounded, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
