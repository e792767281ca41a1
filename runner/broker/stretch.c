/* stretch.c - see stretch.h. Runs in the broker. */
#include "broker/stretch.h"

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/language.h"
#include "broker/stall.h"

#define LEAST_US 1000u   /* that is worth a look, or more time */
#define LOOKS 32u        /* at one run, so that none can keep the broker busy */
#define STEP_PART 64u    /* from one look to the next: this part of the limit, ... */
#define STEP_US 5000u    /* ... and this time at least */
#define STARVED_PART 10u /* of its limit that a run has lacked, if its end says nothing about it */

void
stretch_begin(struct cell *cell)
{
	cell->wall_limit_us = cell->limits.wall_ms * 1000;
	cell->stall_us = 0;
	cell->stall_looks = 0;
	cell->is_starved = false;
}

/*
 * The wait of the run so far. Without control groups the processor time of several processes
 * together is not known, and so not how long they have waited for each other.
 */
static uint64_t
find_stall_us(const struct broker *broker, const struct cell *cell, uint64_t wall_us, uint64_t cpu_us)
{
	bool has_group = broker->cgroup.version != 0;
	uint32_t cpu_percent = has_group ? broker->config->cpu_percent : 0;
	uint64_t busiest_us, stall_us;

	if ((!has_group && cell->limits.processes > 1) || stall_of(wall_us, cpu_us, cpu_percent) < LEAST_US)
		return 0;
	busiest_us = stall_busiest_us(broker, cell);
	stall_us = busiest_us == 0 ? 0 : stall_of(busiest_us, cell_run_cpu_us(broker, cell) - cell->cpu_base_us, cpu_percent);
	return stall_us < LEAST_US ? 0 : stall_us;
}

bool
stretch_wall_limit(struct broker *broker, struct cell *cell, uint64_t wall_us, uint64_t cpu_us)
{
	uint64_t limit_us = cell->limits.wall_ms * 1000, wanted_us;
	uint64_t most_us = config_wall_most_ms(broker->config, cell->language->config, cell->limits.wall_ms) * 1000;

	if (broker->config->stall_percent == 0)
		return false;
	cell->stall_us = find_stall_us(broker, cell, wall_us, cpu_us);
	wanted_us = limit_us + cell->stall_us;
	if (cell->stall_looks++ < LOOKS)
		cell->wall_limit_us = wanted_us < most_us ? wanted_us : most_us;
	cell->is_starved = wanted_us > cell->wall_limit_us + limit_us / STARVED_PART;
	return cell->wall_limit_us >= wall_us + LEAST_US;
}

uint64_t
stretch_left_us(const struct cell *cell, uint64_t wall_us)
{
	uint64_t left_us = cell->wall_limit_us - wall_us, least_us = cell->limits.wall_ms * 1000 / STEP_PART;

	if (cell->stall_looks == 0)
		return left_us;
	least_us = least_us > STEP_US ? least_us : STEP_US;
	return left_us > least_us ? left_us : least_us;
}
