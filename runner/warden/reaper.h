/*
 * reaper.h - the reaper of a cell at level chroot: it lets nothing outlive a run.
 *
 * That level has no pid namespace, whose init could be killed. The processes of a run are those
 * with its uid. The reaper has the same effective uid, so it can signal all of them by the rule of
 * kill(2). None of them can signal the reaper: its real and its saved uid belong to no other
 * process. It has no capability, so it removes the files of a run with no more rights than the run
 * had.
 *
 * It lives as long as its connection to the broker, and until its work is done: it can outlive the
 * warden and the broker.
 */
#ifndef CELLBLOCK_REAPER_H
#define CELLBLOCK_REAPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "warden/collector.h"

struct reaper {
	int sock;              /* to the broker: struct reaper_request, struct reaper_report */
	int tree_fd;           /* the cell's root */
	uid_t uid;             /* of the cell */
	uid_t own_uid;         /* of the reaper */
	const char *output;    /* the file that a compiler makes; NULL: there is none */
	uint64_t output_bytes; /* its size at most */
	struct collector collector;
};

/*
 * Watch over a cell until the connection ends or a request says so, then kill its processes and
 * empty its directories. Called in a child with CAP_SETUID and CAP_SETGID.
 */
void reaper_main(const struct reaper *reaper) __attribute__((noreturn));

/*
 * Give up all rights but two, for good: to signal the processes of `uid`, and to remove its files.
 * `own_uid`: the real and the saved uid from then on. Returns 0, or -1 with errno; then the process
 * must not go on.
 */
int reaper_become(uid_t uid, uid_t own_uid);

/*
 * Kill all processes of `uid`, and wait until they are gone, for which their parents have to reap
 * them. Called after reaper_become.
 */
void reaper_kill_all(uid_t uid);

/*
 * Whether any process, zombies included, has this real uid. One system call, which needs no right.
 */
bool reaper_is_left(uid_t uid);

#endif
