/* pace.c - see pace.h. Runs in the broker. */
#include "broker/pace.h"

#define KNOWN_US 1000000u /* measured for less than this, it is unknown */
#define KNOWN_STARTS 4u
#define BEGIN_US 20000u     /* what starts before had a cell that was free */
#define MEMORY_US 16000000u /* when so much time was measured, its first half is forgotten */

void
pace_begin(struct pace *pace, uint64_t now_us)
{
	*pace = (struct pace){ .begins_us = now_us + BEGIN_US };
}

/* The time that was measured until now. */
static uint64_t
measured_us(const struct pace *pace, uint64_t now_us)
{
	return pace->time_us + (now_us - pace->since_us);
}

static uint64_t
starts_to_know(uint32_t at_once)
{
	return at_once > KNOWN_STARTS ? at_once : KNOWN_STARTS;
}

void
pace_count(struct pace *pace, uint64_t now_us, uint32_t at_once)
{
	if (pace->begins_us == 0 || now_us < pace->begins_us)
		return;
	if (pace->since_us != 0) {
		pace->time_us = measured_us(pace, now_us);
		pace->starts++;
	}
	pace->since_us = now_us;
	if (pace->time_us >= MEMORY_US && pace->starts >= 2 * starts_to_know(at_once)) {
		pace->time_us /= 2;
		pace->starts /= 2;
	}
}

void
pace_end(struct pace *pace)
{
	*pace = (struct pace){ .begins_us = 0 };
}

bool
pace_is_known(const struct pace *pace, uint64_t now_us, uint32_t at_once)
{
	return pace->since_us != 0 && pace->starts >= starts_to_know(at_once) && measured_us(pace, now_us) >= KNOWN_US;
}

uint64_t
pace_time_us(const struct pace *pace, uint64_t now_us, uint64_t runs)
{
	return measured_us(pace, now_us) * runs / pace->starts;
}
