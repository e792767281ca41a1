/* demand.c - see demand.h. Runs in the broker. */
#include "broker/demand.h"

#include "broker/loop.h"

#define PERIOD_US 100000u

static void
begin_period(struct demand *demand, uint64_t now_us)
{
	if (now_us < demand->until_us)
		return;
	demand->most_last = now_us < demand->until_us + PERIOD_US ? demand->most : 0;
	demand->most = 0;
	demand->until_us = now_us + PERIOD_US;
}

void
demand_count(struct demand *demand, uint64_t now_us, uint32_t runs)
{
	begin_period(demand, now_us);
	if (demand->most < runs)
		demand->most = runs;
}

uint32_t
demand_most(struct demand *demand, uint64_t now_us)
{
	begin_period(demand, now_us);
	return demand->most > demand->most_last ? demand->most : demand->most_last;
}

uint64_t
demand_next_us(const struct demand *demand)
{
	return demand->most == 0 && demand->most_last == 0 ? NEVER_US : demand->until_us;
}
