/*
 * keeper.h - the keeper of a cell at level chroot: the process that sees to it that nothing outlives a run.
 *
 * There is no pid namespace there whose init could be killed. What belongs to a run is what has its uid, and the keeper can
 * signal all of that by kill(2)'s own rule, since its effective uid is the same. Nothing of the run can signal it back: its real
 * and its saved uid are one that nothing else has. It has no capability, so all that it does about the files that a run has
 * left, it does with no more rights than the run had.
 *
 * It lives as long as its connection to the broker, and so outlives warden and broker by what there is to do.
 */
#ifndef CELLBLOCK_KEEPER_H
#define CELLBLOCK_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct reaper {
	int sock;    /* to the broker: struct reaper_request, struct reaper_report */
	int tree_fd; /* the cell's root */
	uid_t uid;     /* of the cell */
	uid_t own_uid; /* the keeper's */
	uint32_t inodes;       /* that a run may have */
	const char *output;    /* the file that a compiler makes; NULL: there is none */
	uint64_t output_bytes; /* of it, at most */
};

/* Keep a cell until the connection ends or an order says so. Called in a child with CAP_SETUID and CAP_SETGID. */
void reaper_main(const struct reaper *keeper) __attribute__((noreturn));

/* Become able to signal, and to remove, what is of `uid`, and nothing else, for good. Returns 0, or -1 with errno. */
int reaper_become(uid_t uid, uid_t own_uid);

/* Kill all that is of `uid`, and wait until it is gone: for that somebody must reap it. For one who has become its keeper. */
void reaper_kill_all(uid_t uid);

/* Is there any process of which this is the real uid, be it a zombie? One system call, for which no right is needed. */
bool reaper_is_left(uid_t uid);

#endif
