/* rehearsal.c - see rehearsal.h. Runs in the broker. */
#include "broker/rehearsal.h"

#include "broker/pool.h"

#define NEWS_SHARE 8 /* how much of the last time counts: the machine may have been busy */

bool
rehearsal_pays(const struct pool *pool)
{
	return pool->queued <= pool->armed_count + pool->arming_count && !pool->rehearsal.was_waited_for;
}

void
rehearsal_taken(struct pool *pool, struct rehearsal_guest guest)
{
	struct rehearsal *rehearsal = &pool->rehearsal;
	bool has_others = pool->armed_count > 0; /* no run would have waited */

	if (guest.has_rehearsed && rehearsal->arming_us == 0)
		rehearsal->arming_us = guest.arming_us;
	else if (guest.has_rehearsed)
		rehearsal->arming_us += ((int64_t)guest.arming_us - (int64_t)rehearsal->arming_us) / NEWS_SHARE;
	/* The run that awaited it may have had another one, or have been cancelled. */
	if (guest.was_awaited && guest.idle_us < guest.arming_us)
		rehearsal->was_waited_for = !has_others;
	else
		rehearsal->was_waited_for = !has_others && !guest.has_rehearsed &&
		    guest.arming_us + guest.idle_us < rehearsal->arming_us;
}
