/*
 * language.h - a language at work: its state, its pools, its zygotes.
 *
 *                                  serves
 *         wakes      .----------------------------------------.
 *     ASLEEP --> STARTING <-- reported -- FAILING -- serves --> SERVING
 *        ^        |  ^  `------ failed ----^                    |  |
 *        |        |  `------------------ lost ------------------'  |
 *        `--------+---- sleeps (from all three) -------------------'
 *
 *     MISSING: not installed. ASLEEP when its programs appear in its root (`root_fd`); for good,
 *     where the root is not of the host's whole /usr.
 *
 * STARTING and FAILING both have processes that are to come up: the broker goes on trying, with a
 * backoff. The difference is for the runs. In STARTING they wait; in FAILING they are refused,
 * because a start has failed for a reason that is known (`reason`). A start that failed without a
 * reason (a process that was killed) makes a language FAILING only after LANGUAGE_DEATHS_MAX of
 * them in a row.
 */
#ifndef CELLBLOCK_LANGUAGE_H
#define CELLBLOCK_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/pool.h"
#include "broker/zygote.h"
#include "config.h"
#include "config_dependencies.h"
#include "log_limit.h"
#include "policy.h"
#include "root_list.h"

#define LANGUAGE_KINDS (CONFIG_MAX_WARM + 1) /* of pools */
#define LANGUAGE_POOLS (LANGUAGE_KINDS * GRANT_COUNT)
#define LANGUAGE_DEATHS_MAX 3
#define LANGUAGE_PATH_SIZE 4096
#define LANGUAGE_REFUSALS (REFUSED_TOO_LARGE + 1)

struct broker;
struct client;

enum language_state { LANGUAGE_MISSING, LANGUAGE_ASLEEP, LANGUAGE_STARTING, LANGUAGE_SERVING, LANGUAGE_FAILING, LANGUAGE_STATES };

enum language_event {
	LANGUAGE_WAKES,    /* a run wants it */
	LANGUAGE_REPORTED, /* a zygote has come up, and is to be tested */
	LANGUAGE_SERVES,   /* a zygote has passed the self-test */
	LANGUAGE_LOST,     /* the last zygote that served has gone */
	LANGUAGE_FAILED,   /* a zygote could not come up, or its test could not be carried out, and none serves */
	LANGUAGE_SLEEPS,   /* it was not used for a while */
	LANGUAGE_APPEARS,  /* its programs have been installed */
	LANGUAGE_EVENTS
};

struct warden {
	pid_t pid;          /* 0: down */
	int sock;           /* -1: down */
	uint64_t retry_us;  /* it is not started before */
	uint64_t serves_us; /* since when it is up */
	unsigned failures;  /* in a row */
};

struct language {
	const struct config *all; /* that its own is a part of */
	const struct language_config *config;
	enum language_state state;
	enum start_kind start;           /* as configured; START_SPARE where a zygote could not be had */
	char reason[PROTO_TEXT_SIZE];    /* MISSING, FAILING: why. Explains the state, and is never asked for it */
	char shortfall[PROTO_TEXT_SIZE]; /* why `start` is not as configured; else empty */
	char version[PROTO_NAME_SIZE];
	char interpreter[LANGUAGE_PATH_SIZE]; /* with a driver: its own, or that of its set of packages */
	int packages_fd;                      /* the set, which is locked by it; -1: none */
	bool is_verified;                     /* a zygote has passed all parts of the self-test */
	uint64_t used_us;                     /* when last */
	uint64_t state_us;                    /* since when it is in its state */
	uint64_t fell_back_us;                /* when `start` became START_SPARE */

	struct policy *policy;
	struct rootfs fs;
	int driver_tree_fd;           /* bound into the zygotes' root */
	int cell_mount_fd;            /* mount namespace of the root, as cells see it */
	int zygote_mount_fd;          /* the same with the driver */
	int root_fd;                  /* MISSING: its root, where its programs may appear; -1: none. Kept */
	int trees_fd;                 /* level chroot: the directory of its trees. Then there are no mount namespaces */
	int setup_fd[LANGUAGE_POOLS]; /* the struct zygote_setup of the zygotes of each pool */

	struct warden warden;
	struct zygote *zygote;
	size_t zygote_count; /* of places: the second half are the others of the first half */
	struct pool pool[LANGUAGE_POOLS];
	uint32_t kinds;   /* of pools, that it has */
	uint32_t waiting; /* runs of it in the queue */

	/* Of a compiled language; see compiler_id.h. */
	struct compiler_id {
		uint64_t file[2]
		             [3];  /* of the compiler, and of the program that tells its version: device, inode, time of change */
		uint64_t known_us; /* when this was so; 0: not known */
		struct watch answer;   /* where the warden answers, while it is asked */
		struct client *asking; /* connections that wait for the answer */
	} compiler;

	struct log_limit refusals[LANGUAGE_REFUSALS]; /* by enum refusal */
	struct log_limit deaths;                      /* of its warden and its zygotes */
};

/*
 * Change the state as `event` says; do nothing where the state has no such transition. `reason`
 * (LANGUAGE_FAILED): why. Refuses the runs that wait, if the language is FAILING then.
 */
void language_event(struct broker *broker, struct language *language, enum language_event event, const char *reason);

/*
 * Look whether the programs of a language that is MISSING have been installed meanwhile. Then it is
 * ASLEEP, and its version is not known before the next start of the runner.
 */
void language_look(struct broker *broker, struct language *language);

/*
 * Take or release one of the locks on the language's set of packages, if it has one. They end with
 * the broker.
 */
void language_lock_packages(const struct language *language, enum set_lock lock);
void language_unlock_packages(const struct language *language, enum set_lock lock);

/* Whether its processes run, or are to run. */
bool language_is_awake(const struct language *language);

/* Fill in the two places of a pair, `number` of `pairs`, for the zygotes of a pool. */
void language_place_zygote(struct language *language, uint32_t number, uint32_t pairs, uint32_t pool);

/* Whether a zygote serves. */
bool language_serves(const struct language *language);

/* The grant (enum policy_grant) of a run that asks for nothing. */
unsigned language_usual_grant(const struct language *language);

/* Have the pools served that keep cells ready, and no others before they are used. */
void language_want_armed(struct language *language);

/* The number of cells that a pool keeps ready. */
uint32_t language_armed(const struct language *language, uint32_t pool);

/*
 * The pool for a run with these flags (enum proto_run_flag) and grant that suits warm set `warm`
 * best.
 */
uint32_t language_pool(const struct language *language, uint32_t warm, uint32_t flags, unsigned grant);

/*
 * The pool that a run for `pool` takes now. Until a zygote of its warm set serves, that of the
 * first set does: there a program imports its modules itself, instead of waiting.
 */
uint32_t language_pool_for_now(const struct language *language, uint32_t pool);

/*
 * A run wants a pool: have the processes behind it started, unless they run. The broker's loop does
 * the rest.
 */
void language_wake(struct broker *broker, struct language *language, uint32_t pool);

/* The same without a run yet: it is about to be used. */
void language_touch(struct broker *broker, struct language *language);

/* Stop all its processes. No cell may be its own then. */
void language_sleep(struct broker *broker, struct language *language);

#endif
