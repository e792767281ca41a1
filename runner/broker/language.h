/*
 * language.h - a language at work: its root, its warden and its zygotes.
 *
 * language_prepare runs with the rights the runner was started with; all else in the broker.
 */
#ifndef CELLBLOCK_LANGUAGE_H
#define CELLBLOCK_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "broker/event.h"
#include "policy.h"
#include "messages.h"
#include "start/rootfs.h"

#define LANGUAGE_KINDS (CONFIG_MAX_WARM + 1)          /* of zygotes: a warm set's, or those for runs that no set takes */
#define LANGUAGE_POOLS (LANGUAGE_KINDS * GRANT_COUNT)

/* Failures in a row, of a pool. More than so many, and /health says so; and, after about a second, its runs are not kept waiting. */
#define POOL_FAILURES_SAID 3
#define POOL_FAILURES_MOST 5

struct cell;
struct language;

/* A place for a warm interpreter. A new one is started while the old one still serves. */
struct zygote {
	struct language *language;
	uint32_t number; /* within the language */
	uint32_t pool;   /* whose cells it makes */
	pid_t pid;          /* serves; 0: none */
	pid_t starting_pid; /* will serve when it has reported; 0: none */
	struct event report; /* where it reports */
	uint64_t forks;      /* of the one that serves */
	uint64_t deadline_us; /* for the report */
	uint64_t retry_us;    /* none is started before */
	unsigned failures;    /* in a row */
	bool is_proved;       /* it has passed the self-test: only then its guests are given runs */
	bool is_in_test;
	unsigned test_part;   /* the next one */
	unsigned test_parts;  /* so many it has to pass */
	uint64_t test_began_us;
	unsigned test_failures; /* in a row */
	uint64_t test_us;       /* none is tried before */
};

struct warden {
	pid_t pid; /* 0: down */
	int sock;  /* -1: down */
	uint64_t retry_us;
};

/*
 * What is ready of one kind for one grant: pool `kind * GRANT_COUNT + grant`. The kinds are the warm sets, and there may be
 * one more, of cells whose program has not been started, for runs that an interpreter which has cannot take.
 */
struct pool {
	bool is_wanted;     /* its zygotes run, or are to */
	struct cell *armed; /* list */
	uint32_t armed_count;
	uint32_t arming_count;
	uint32_t queued; /* runs that wait for this set */
	uint32_t turn;   /* zygotes take turns */
	unsigned failures; /* to make cells, in a row; of those that were begun together, once */
	uint64_t retry_us; /* 0, or when it may be tried again */
};

struct language {
	const struct config *all; /* that its own is a part of */
	const struct language_config *config;
	enum start_kind start; /* as configured, or START_SPARE where a zygote cannot be had */
	bool is_missing;       /* not installed; `reason` says what */
	bool is_awake;         /* its processes run, or are to */
	bool is_proved;        /* a zygote has passed all parts of the self-test */
	uint64_t used_us;      /* when last */
	struct policy *policy;
	struct rootfs fs;
	int driver_tree_fd;  /* bound into the zygotes' root */
	int cell_mount_fd;   /* mount namespace of the root, as cells see it */
	int zygote_mount_fd; /* the same with the driver */
	int root_fd;         /* its root directory; -1 if nothing is compiled, or, at level chroot, was looked for yet */
	int trees_fd;        /* level chroot: the folder of its trees. Then there are no mount namespaces */
	int setup_fd[LANGUAGE_POOLS]; /* what a zygote of each set reads at its start */
	struct warden warden;
	struct zygote *zygote;
	size_t zygote_count;
	struct pool pool[LANGUAGE_POOLS];
	uint32_t kinds;
	char version[PROTO_NAME_SIZE];
	char reason[PROTO_TEXT_SIZE]; /* why it is not available; else empty */
	char shortfall[PROTO_TEXT_SIZE]; /* why it is available only as START_SPARE; else empty */
};

/* What a run of the language is granted that asks for nothing: enum policy_grant. */
unsigned language_usual_grant(const struct language *language);

/* Have the pools served that keep cells ready, and no others before they are used. */
void language_want_armed(struct language *language);

/* Is there a zygote that serves? */
bool language_serves(const struct language *language);

/* How many cells a pool keeps ready. */
uint32_t language_armed(const struct language *language, uint32_t pool);

/* A pool whose cells cannot be made rests between two tries, and no other does with it. */
bool language_rests(const struct pool *pool);

/* The pool for a run with these flags (enum proto_run_flag) and grant that suits warm set `warm` best. */
uint32_t language_pool(const struct language *language, uint32_t warm, uint32_t flags, unsigned grant);

/*
 * Start the processes behind a pool, unless they run; the broker's loop does the rest. Called for every run. And the
 * contrary: let go of all that it has in memory. No cell may be its own then.
 */
void language_wake(struct broker *broker, struct language *language, uint32_t pool);
void language_sleep(struct language *language);

#endif
