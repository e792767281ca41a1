/*
 * key_account.h - what each API key may have, and has: its runs in the queue and in cells, and its
 * rate.
 *
 * The workers send a key's name and its share with each request. Nobody reads the keys' files here,
 * so an account begins with the first request of a name, and takes over the numbers of each later
 * one. It is forgotten when nothing of the key is left and its bucket is full again: then it is no
 * different from a new one.
 *
 * The number of accounts is bounded. A table that is full forgets the account that was idle for
 * longest, whatever is in its bucket.
 */
#ifndef CELLBLOCK_KEY_ACCOUNT_H
#define CELLBLOCK_KEY_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "broker/pace.h"
#include "broker/run.h"
#include "proto.h"

#define KEY_ACCOUNTS_MAX 4096

/* The most that a share may have of each: as in the configuration. */
#define KEY_WEIGHT_MAX 1000u
#define KEY_RUNNING_MAX 4096u
#define KEY_WAITING_MAX 65536u /* or UINT32_MAX */
#define KEY_RATE_MAX 1000000u

struct key_account {
	struct run_share share; /* as last sent */
	uint32_t holds;         /* requests, runs and cells that refer to it */
	uint64_t bucket_us;     /* of the rate: millionths of a request that it may still send */
	uint64_t filled_us;     /* when the bucket was last filled */

	/* For run_queue.c. */
	struct run_list runs;    /* that wait for their turn, first come first */
	uint32_t listed;         /* the number of these */
	uint32_t waiting;        /* these, and those whose language wakes */
	uint32_t running;        /* runs that were admitted and are not answered */
	uint32_t cells;          /* cells that these have or will have, and those that had one and are not free yet */
	uint32_t deficit;        /* of the round robin */
	bool has_turn;           /* it has got its quantum, and is not through with it */
	bool rests;              /* it runs as many as it may: it is in the list of those */
	uint32_t counted_weight; /* as it counts in run_queue.weights */
	struct pace pace;        /* of its runs */
	TAILQ_ENTRY(key_account) in_ring;

	/* For key_account.c. */
	TAILQ_ENTRY(key_account) in_idle; /* accounts without holds, the longest idle one first */
	SLIST_ENTRY(key_account) in_hash;
};

#define KEY_ACCOUNT_HASHES 1024

struct key_accounts {
	SLIST_HEAD(key_hash, key_account) hash[KEY_ACCOUNT_HASHES]; /* by name */
	TAILQ_HEAD(key_idle, key_account) idle;
	uint32_t count;
};

void key_accounts_init(struct key_accounts *accounts);

/* Whether a worker may send this share: numbers in their ranges, and a name of printable ASCII. */
bool key_account_is_share(const struct run_share *share);

/*
 * The account of a share that is valid, made if there is none. It takes over the share's numbers,
 * and stays until it is released. Returns NULL if there are too many accounts that are in use, or
 * no memory.
 */
struct key_account *key_account_hold(struct key_accounts *accounts, const struct run_share *share, uint64_t now_us);

/* The account of a name, or NULL if there is none. */
const struct key_account *key_account_find(const struct key_accounts *accounts, const char *name);

/* Hold an account once more. */
struct key_account *key_account_hold_too(struct key_account *account);

/* The account may be freed by this, or later. Does nothing for NULL. */
void key_account_release(struct key_accounts *accounts, struct key_account *account, uint64_t now_us);

/* Take a request out of the bucket. Returns whether there was one. */
bool key_account_take(struct key_account *account, uint64_t now_us);

/* How long until there is one; at least 1. */
uint32_t key_account_next_ms(struct key_account *account, uint64_t now_us);

/* The rest of the rate. Without a rate: UINT32_MAX, and 0. */
struct proto_account key_account_report(struct key_account *account, uint64_t now_us);

#endif
