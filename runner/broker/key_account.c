/* key_account.c - see key_account.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/key_account.h"

#include <stdlib.h>
#include <string.h>

#define MILLION 1000000u
#define FORGOTTEN_AT_ONCE 2 /* idle accounts that are looked at for each new one */

void
key_accounts_init(struct key_accounts *accounts)
{
	*accounts = (struct key_accounts){ .count = 0 };
	TAILQ_INIT(&accounts->idle);
}

/* A character of a key's name. It comes into logs and metrics, where these need no quoting. */
static bool
is_of_name(char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '/';
}

bool
key_account_is_share(const struct run_share *share)
{
	size_t length = strnlen(share->name, sizeof share->name);

	if (length == 0 || length == sizeof share->name || share->reserved != 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!is_of_name(share->name[i]))
			return false;
	}
	return share->weight >= 1 && share->weight <= KEY_WEIGHT_MAX && share->running <= KEY_RUNNING_MAX &&
	    (share->waiting <= KEY_WAITING_MAX || share->waiting == UINT32_MAX) && share->rate <= KEY_RATE_MAX &&
	    share->burst <= KEY_RATE_MAX;
}

static uint32_t
hash_of(const char *name)
{
	uint32_t hash = 2166136261u;

	for (const char *c = name; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return hash % KEY_ACCOUNT_HASHES;
}

/* ---- the rate ----------------------------------------------------------------------------------------------------- */

/* A bucket that is full: the burst, and the one request that the rate gives. */
static uint64_t
full_us(const struct key_account *account)
{
	return ((uint64_t)account->share.burst + 1) * MILLION;
}

static void
fill(struct key_account *account, uint64_t now_us)
{
	uint64_t full = full_us(account), passed_us = now_us > account->filled_us ? now_us - account->filled_us : 0;

	account->filled_us = now_us;
	if (account->share.rate == 0 || account->bucket_us >= full || passed_us > full / account->share.rate)
		account->bucket_us = full;
	else
		account->bucket_us += passed_us * account->share.rate;
	if (account->bucket_us > full)
		account->bucket_us = full;
}

bool
key_account_take(struct key_account *account, uint64_t now_us)
{
	fill(account, now_us);
	if (account->bucket_us < MILLION)
		return false;
	account->bucket_us -= MILLION;
	return true;
}

/* Until the bucket has `wanted`. */
static uint64_t
until_ms(const struct key_account *account, uint64_t wanted)
{
	uint64_t rate = account->share.rate;

	if (account->bucket_us >= wanted || rate == 0)
		return 0;
	return (wanted - account->bucket_us + rate * 1000 - 1) / (rate * 1000);
}

uint32_t
key_account_next_ms(struct key_account *account, uint64_t now_us)
{
	uint64_t ms;

	fill(account, now_us);
	ms = until_ms(account, MILLION);
	return ms > 0 ? (uint32_t)ms : 1;
}

struct proto_account
key_account_report(struct key_account *account, uint64_t now_us)
{
	uint64_t reset_ms;

	if (account->share.rate == 0)
		return (struct proto_account){ .rate_left = UINT32_MAX };
	fill(account, now_us);
	reset_ms = until_ms(account, full_us(account));
	return (struct proto_account){ .rate_left = (uint32_t)(account->bucket_us / MILLION),
		.rate_reset_ms = reset_ms < UINT32_MAX ? (uint32_t)reset_ms : UINT32_MAX };
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

static void
forget(struct key_accounts *accounts, struct key_account *account)
{
	TAILQ_REMOVE(&accounts->idle, account, in_idle);
	SLIST_REMOVE(&accounts->hash[hash_of(account->share.name)], account, key_account, in_hash);
	accounts->count--;
	free(account);
}

/* Whether a new account would be the same. */
static bool
is_like_new(struct key_account *account, uint64_t now_us)
{
	fill(account, now_us);
	return account->bucket_us == full_us(account);
}

/* Make room for one more. Returns whether there is some. */
static bool
make_room(struct key_accounts *accounts, uint64_t now_us)
{
	for (int i = 0; i < FORGOTTEN_AT_ONCE; i++) {
		struct key_account *oldest = TAILQ_FIRST(&accounts->idle);

		if (oldest == NULL || !is_like_new(oldest, now_us))
			break;
		forget(accounts, oldest);
	}
	if (accounts->count == KEY_ACCOUNTS_MAX && !TAILQ_EMPTY(&accounts->idle))
		forget(accounts, TAILQ_FIRST(&accounts->idle));
	return accounts->count < KEY_ACCOUNTS_MAX;
}

const struct key_account *
key_account_find(const struct key_accounts *accounts, const char *name)
{
	const struct key_account *account;

	SLIST_FOREACH(account, &accounts->hash[hash_of(name)], in_hash) {
		if (strcmp(account->share.name, name) == 0)
			return account;
	}
	return NULL;
}

/* An account that nobody holds yet: with a full bucket, as one that is forgotten had. */
static struct key_account *
make(struct key_accounts *accounts, const struct run_share *share, uint64_t now_us)
{
	struct key_account *account = make_room(accounts, now_us) ? calloc(1, sizeof *account) : NULL;

	if (account == NULL)
		return NULL;
	account->share = *share;
	account->filled_us = now_us;
	account->bucket_us = full_us(account);
	TAILQ_INIT(&account->runs);
	SLIST_INSERT_HEAD(&accounts->hash[hash_of(share->name)], account, in_hash);
	TAILQ_INSERT_TAIL(&accounts->idle, account, in_idle);
	accounts->count++;
	return account;
}

struct key_account *
key_account_hold(struct key_accounts *accounts, const struct run_share *share, uint64_t now_us)
{
	struct key_account *account = (struct key_account *)key_account_find(accounts, share->name);

	if (account == NULL)
		account = make(accounts, share, now_us);
	if (account == NULL)
		return NULL;
	/* With the old rate until now. */
	fill(account, now_us);
	account->share = *share;
	if (account->holds++ == 0)
		TAILQ_REMOVE(&accounts->idle, account, in_idle);
	return account;
}

struct key_account *
key_account_hold_too(struct key_account *account)
{
	account->holds++;
	return account;
}

void
key_account_release(struct key_accounts *accounts, struct key_account *account, uint64_t now_us)
{
	if (account == NULL || --account->holds > 0)
		return;
	TAILQ_INSERT_TAIL(&accounts->idle, account, in_idle);
	if (is_like_new(account, now_us))
		forget(accounts, account);
}
