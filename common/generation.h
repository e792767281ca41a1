/*
 * generation.h - a process of a generation, and what it tells its parent (generations.h).
 *
 * A parent starts its program again for each generation. The process finds its descriptors at fixed
 * numbers, and its place among the generations in an environment variable.
 */
#ifndef CELLBLOCK_GENERATION_H
#define CELLBLOCK_GENERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GENERATION_REPORT_FD 3 /* a pipe to the parent: struct generation_report */
#define GENERATION_LISTEN_FD 4 /* the listening socket, unless it is descriptor 0 */

struct generation {
	bool has_parent; /* false: started without one; all others mean nothing then */
	bool replaces;   /* another generation serves until this one reports that it is ready */
	uint32_t number; /* counted from 1 */
	uint32_t slot;   /* two generations that live at the same time have different slots */
	pid_t parent;
};

enum generation_kind {
	GENERATION_READY = 1, /* this process serves */
	GENERATION_LEAVING,   /* this process finishes its work and ends by itself: start another one in its place */
	GENERATION_MOVED,     /* all that send work to this process were told to send it to the newer generation */
};

/* Written whole; the parent ignores what it does not know. */
struct generation_report {
	uint32_t kind;  /* enum generation_kind */
	uint32_t value; /* 0 */
};

/*
 * Find out whether a parent has started this process, and forget it in the environment. The two
 * descriptors above become close-on-exec.
 */
void generation_find(struct generation *generation);

/*
 * Die with the parent. To be called again after each change of the process's ids, with which the
 * kernel forgets it. Ends the process if the parent is gone already. Does nothing without a parent.
 */
void generation_die_with_parent(const struct generation *generation);

/*
 * Report to the parent, on GENERATION_REPORT_FD. Does nothing in a process that has none. A parent
 * that is gone is no failure. May be called by any thread.
 */
void generation_report(enum generation_kind kind);

#endif
