/* pace.c - see pace.h. Runs in the broker. */
#include "broker/pace.h"

#define KNOWN_STARTS 4u
#define MEMORY_US 16000000u /* when so much time was measured, its first half is forgotten */

void
pace_begin(struct pace *pace, uint64_t now_us)
{
	*pace = (struct pace){ .since_us = now_us };
}

/* The time that was measured until now. */
static uint64_t
measured_us(const struct pace *pace, uint64_t now_us)
{
	return pace->since_us == 0 || now_us < pace->since_us ? pace->time_us : pace->time_us + (now_us - pace->since_us);
}

void
pace_count(struct pace *pace, uint64_t now_us)
{
	if (pace->since_us == 0)
		return;
	pace->time_us = measured_us(pace, now_us);
	pace->since_us = now_us;
	pace->starts++;
	/* Starts that are few keep their time: halved, they would be none. */
	if (pace->time_us >= MEMORY_US && pace->starts >= 2 * KNOWN_STARTS) {
		pace->time_us /= 2;
		pace->starts /= 2;
	}
}

void
pace_end(struct pace *pace)
{
	*pace = (struct pace){ .since_us = 0 };
}

bool
pace_is_known(const struct pace *pace, uint64_t now_us)
{
	return pace->since_us != 0 && pace->starts >= KNOWN_STARTS && measured_us(pace, now_us) >= PACE_KNOWN_US;
}

uint64_t
pace_time_us(const struct pace *pace, uint64_t now_us, uint64_t runs)
{
	return measured_us(pace, now_us) * runs / pace->starts;
}
