#include "broker/rehearsal.h"

#include "broker/pool.h"

#define NEWS_SHARE 8  /* how much of the last time counts: the machine may have been busy */
#define AT_ONCE_US 50 /* a guest that is taken so soon was waited for */

bool
rehearsal_pays(const struct pool *pool)
{
	return pool->queued <= pool->armed_count + pool->arming_count && !pool->rehearsal.was_waited_for;
}

void
rehearsal_taken(struct pool *pool, bool has_rehearsed, uint64_t arming_us, uint64_t idle_us)
{
	struct rehearsal *rehearsal = &pool->rehearsal;

	if (has_rehearsed && rehearsal->arming_us == 0)
		rehearsal->arming_us = arming_us;
	else if (has_rehearsed)
		rehearsal->arming_us += ((int64_t)arming_us - (int64_t)rehearsal->arming_us) / NEWS_SHARE;
	else
		idle_us = arming_us + idle_us > rehearsal->arming_us ? arming_us + idle_us - rehearsal->arming_us : 0;
	rehearsal->was_waited_for = pool->armed_count == 0 && idle_us <= AT_ONCE_US;
}
