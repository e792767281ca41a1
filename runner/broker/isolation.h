/*
 * isolation.h - a level of isolation, as the broker sees it: how a cell is begun, watched, and
 * ended.
 *
 * Each level is one file and one table: isolation_ns.c (namespaces) and isolation_chroot.c. The
 * functions of the first group run in the broker and never wait. Those of the second group run in a
 * child that is to become a warden or a zygote, and die if they fail.
 */
#ifndef CELLBLOCK_ISOLATION_H
#define CELLBLOCK_ISOLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "warden/warden.h"

#define ISOLATION_FDS 3 /* that a warden or zygote gets for its root, at most */

struct broker;
struct cell;
struct language;
struct run;

/* A call of socket(2) for TCP, by a program that has a network by a proxy. */
struct asked_socket {
	int notify_fd;        /* a seccomp listener */
	uint64_t id;          /* of the call, there */
	int domain;           /* AF_INET, AF_INET6 */
	int type;             /* SOCK_STREAM, with flags */
	bool is_one_too_many; /* its cell makes too many, or is not known */
};

#define SOCKET_IS_ANSWERED (-1)

struct isolation {
	/* ---- a cell ---- */

	/*
	 * Before the warden is asked for the cell. *fd: a descriptor for that request, the caller's
	 * to close; -1: none. Returns 0, or -1 with errno.
	 */
	int (*begin)(struct broker *broker, struct cell *cell, int *fd);
	/* The request could not be sent: take back what `begin` did. */
	void (*abandon)(struct broker *broker, struct cell *cell);
	/*
	 * The guest is armed. Takes the two descriptors of its report: by what the cell is joined,
	 * and its working directory.
	 */
	void (*armed)(struct cell *cell, int fds[2]);
	/*
	 * A run is about to start, with cell->limits: give it its disk. Returns 0, or -1 with
	 * errno.
	 */
	int (*start)(struct broker *broker, struct cell *cell);
	/* Whether the cell of a run that was started can be emptied and serve another run. */
	bool (*may_renew)(const struct broker *broker, const struct cell *cell);
	/*
	 * The guest has ended. Returns whether the result has to wait for more: then
	 * cell_run_settled is called later, or cell_check calls it at cell->check_us.
	 */
	bool (*settle)(struct broker *broker, struct cell *cell);
	/* The part of its disk that the run has used up. For a run that has failed. */
	enum disk_full (*disk_full)(const struct cell *cell);
	/* Kill all that is in a cell whose run is to end. The guest's death comes as an event. */
	void (*kill)(const struct cell *cell);
	/*
	 * The cell is ENDING: kill all that is in it. Returns whether there is something to wait
	 * for: then cell_gone is called when nothing is left. May set cell->check_us to an earlier
	 * time, to be called again then, if that is not the case yet.
	 */
	bool (*end)(struct broker *broker, struct cell *cell);
	/*
	 * Nothing is left in the cell. Have the output of its compilation extracted, unless that is
	 * done; answers the run, now or later.
	 */
	void (*extract)(struct broker *broker, struct cell *cell, struct run *run);
	/*
	 * Nothing is left in the cell. Have the files of its run collected, unless that is done;
	 * answers the run, now or later, with or without them.
	 */
	void (*collect)(struct broker *broker, struct cell *cell, struct run *run);
	/*
	 * A program makes a socket. `cell`: its cell; NULL: not known. Returns 0: the kernel is to
	 * make it; an errno: that is the answer; or SOCKET_IS_ANSWERED: the answer was given, or
	 * will be.
	 */
	int (*make_socket)(struct broker *broker, struct cell *cell, const struct asked_socket *asked);
	/* A language that slept is about to have a warden and zygotes again. */
	void (*waken)(const struct broker *broker, const struct language *language);
	/* The uid of the cell's processes, as they see it themselves. */
	uid_t (*uid)(const struct config *config, const struct cell *cell);
	uint64_t arming_limit_us;   /* for a guest to report */
	uint32_t sockets_at_once;   /* that a program may make, before it has to wait for each, ... */
	uint32_t sockets_in_second; /* ... and that time gives back */
	bool files_are_on_host;     /* a run's files take space of the host's file system: each is limited by an rlimit, too */
	const char *root_layer;     /* that keeps the host's files out of sight; see layers.h */

	/* ---- a warden or zygote to be ---- */

	/*
	 * The descriptors that it needs to enter its root. `is_interpreter`: of the root with the
	 * driver. Returns their number.
	 */
	size_t (
	    *root_fds)(const struct broker *broker, const struct language *language, bool is_interpreter, int fds[ISOLATION_FDS]);
	/*
	 * Become the warden. `sock` is its connection, `fds` the first of the descriptors, which
	 * follow each other.
	 */
	void __attribute__((noreturn)) (*be_warden)(const struct broker *broker, const struct language *language,
	    const struct warden_config *config, int sock, int fds);
	/* Enter the root of a zygote, and drop the capabilities that a zygote does not need. */
	void (*enter_root)(int fds);
};

extern const struct isolation isolation_ns;
extern const struct isolation isolation_chroot;

#endif
