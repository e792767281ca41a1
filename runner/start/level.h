/*
 * level.h - the two levels of isolation, as the start sees them: a table of functions each.
 *
 * The level is chosen once. Every step of the start that differs between the levels is a function
 * here.
 */
#ifndef CELLBLOCK_LEVEL_H
#define CELLBLOCK_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/broker.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "broker/selftest.h"
#include "config.h"
#include "generation.h"
#include "messages.h"
#include "start/idmap.h"
#include "start/walls.h"

struct start_level;

/* State of the start, of both processes that it becomes. */
struct start {
	const struct start_level *level;
	struct config *config;
	struct broker broker;
	struct idmap ids;
	struct selftest_host host; /* the host's namespaces, to be told from ours */
	const struct generation *generation;
	bool has_proc;    /* level namespaces: cells can have a /proc */
	bool is_root;     /* started as root of the host, or of a container */
	bool may_mount;   /* and may mount there, which root of a container may not */
	uid_t broker_uid; /* of the broker, as the host counts */
	uid_t worker_uid; /* that may connect */
	int uids_fd;      /* holds our range of uids; see uid_lock.h. -1: there is none */
	int listen_fd;    /* where workers connect */
	int chroot_fd;    /* level chroot: the directory of the trees; else -1 */
	int guard_fd;     /* level chroot: as long as it is open, the guard waits; else -1 */
};

struct start_level {
	/* The same level, as the broker sees it. */
	const struct isolation *isolation;
	/* Walls that only this level announces. */
	const struct wall *walls;
	size_t wall_count;
	/* Uids on the host for each cell, beside the one of the runner itself. */
	uint32_t uids_per_cell;
	/*
	 * How long to wait for an earlier runner's uids: what keeps them until it has cleaned up.
	 */
	unsigned uids_wait_ms;

	/* Dies if the host cannot give what is configured. */
	void (*check)(const struct config *config);
	/* Whether zygotes can be behind Landlock, if there is any. */
	bool (*has_zygote_landlock)(void);
	/* Whatever comes before the languages: sets start->broker_uid. Dies if it fails. */
	void (*prepare)(struct start *start);
	/*
	 * The part of a language's root that needs the rights of the start. Returns 0, or -1 with a
	 * text in `error`.
	 */
	int (*open_root)(struct start *start, struct language *language, char *error, size_t size);
	/* Fork the broker. Returns like fork(2). */
	pid_t (*fork_broker)(const struct start *start);
	/*
	 * In the parent: map the ids of the broker, which waits for it. Returns 0, or -1 with a
	 * text in `error`.
	 */
	int (*map_ids)(const struct start *start, pid_t broker, char *error, size_t size);

	/* In the broker. Each dies if it fails. */
	void (*become_root)(const struct start *start);
	void (*build_roots)(struct start *start); /* of the languages */
	void (*leave_host)(struct start *start);  /* no file of the host can be reached afterwards */

	/*
	 * Remove whatever an earlier runner called `name` left, beside control groups. Returns 0,
	 * or -1 with a line in the log.
	 */
	int (*clean)(const struct config *config, const char *name);
};

extern const struct start_level level_ns, level_chroot;

/* The table of a level. */
const struct start_level *level_find(enum level level);

/* The first language that is installed; NULL if none is. */
struct language *level_first_language(const struct broker *broker);

/*
 * POLICY_UNIX of the sets of grants whose cells let no abstract name of a socket in or out. None of
 * them where all cells have one uid: by it the kernel counts descriptors that are on their way in
 * messages, and one run could use up what others may send.
 */
unsigned level_unix_grants(const struct broker *broker);

/* The place of the cells, for policy_load: level_unix_grants, and how runs have a network. */
unsigned level_place(const struct broker *broker);

/* The part of a zygote's setup that is the same for all. */
struct zygote_setup level_common_setup(const struct broker *broker);

#endif
