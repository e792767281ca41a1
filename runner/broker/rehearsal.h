/*
 * rehearsal.h - whether the next guest of a pool rehearses its run before it reports.
 *
 * A rehearsal makes the run faster, and takes more processor time than it saves. So it pays only
 * if nobody waits for the guest.
 */
#ifndef CELLBLOCK_REHEARSAL_H
#define CELLBLOCK_REHEARSAL_H

#include <stdbool.h>
#include <stdint.h>

struct pool;

/* Of one pool. Zeros at its start. */
struct rehearsal {
	uint64_t arming_us;  /* how long it takes to arm a guest that rehearses; 0: not known yet */
	bool was_waited_for; /* a run waited for the last guest, or would have waited for its rehearsal */
};

/* A guest that a run takes. */
struct rehearsal_guest {
	bool has_rehearsed;
	bool was_awaited; /* a run waited when it was armed */
	uint64_t arming_us;
	uint64_t idle_us; /* from then to the run */
};

/* Whether a guest that is requested now should rehearse. */
bool rehearsal_pays(const struct pool *pool);

/* A run has taken a guest from the pool. */
void rehearsal_taken(struct pool *pool, struct rehearsal_guest guest);

#endif
