/* stretch.c - see stretch.h. Runs in the broker. */
#include "broker/stretch.h"

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/language.h"
#include "broker/stall.h"

#define LEAST_US 1000u /* that is worth a look, or more time */
#define LOOKS 32u      /* at one run, so that none can keep the broker busy */
#define STEP_PART 64u  /* from one look to the next: this part of the limit, ... */
#define STEP_US 5000u  /* ... and this time at least */
#define NOT_WAITING UINT64_MAX
#define STARVED_PART 10u /* of its limit that a run has lacked, if its end says nothing about it */

void
stretch_begin(struct cell *cell)
{
	cell->wall_limit_us = cell->limits.wall_ms * 1000;
	cell->stall_us = 0;
	cell->stall_looks = 0;
	cell->waiting_cpu_us = NOT_WAITING;
	cell->is_starved = false;
}

/*
 * Look at what the run has waited so far: sets cell->stall_us. Without control groups the processor
 * time of several processes together is not known, and so not how long they have waited for each
 * other. Returns whether the run may be waiting now.
 */
static bool
look(const struct broker *broker, struct cell *cell, uint64_t wall_us, uint64_t cpu_us)
{
	bool has_group = broker->cgroup.version != 0;
	uint32_t cpu_percent = has_group ? broker->config->cpu_percent : 0;
	struct busiest busiest;

	cell->stall_us = 0;
	if ((!has_group && cell->limits.processes > 1) || stall_of(wall_us, cpu_us, cpu_percent) < LEAST_US)
		return false;
	busiest = stall_find_busiest(broker, cell);
	if (busiest.us > 0)
		cell->stall_us = stall_of(busiest.us, cell_run_cpu_us(broker, cell) - cell->cpu_base_us, cpu_percent);
	if (cell->stall_us < LEAST_US)
		cell->stall_us = 0;
	return busiest.is_runnable;
}

/*
 * The time of a run is up that may be waiting now. The kernel tells a wait when it has ended: so
 * the run gets the time until it runs again, as long as it has not run since the last look.
 */
static bool
wait_on(struct cell *cell, uint64_t wall_us, uint64_t cpu_us, uint64_t most_us)
{
	if (wall_us + STEP_US > most_us || (cell->waiting_cpu_us != NOT_WAITING && cell->waiting_cpu_us != cpu_us))
		return false;
	cell->waiting_cpu_us = cpu_us;
	cell->wall_limit_us = wall_us + STEP_US;
	return true;
}

bool
stretch_wall_limit(struct broker *broker, struct cell *cell, uint64_t wall_us, uint64_t cpu_us)
{
	uint64_t limit_us = cell->limits.wall_ms * 1000, wanted_us;
	uint64_t most_us = config_wall_most_ms(broker->config, cell->language->config, cell->limits.wall_ms) * 1000;
	bool may_wait;

	if (broker->config->stall_percent == 0)
		return false;
	may_wait = look(broker, cell, wall_us, cpu_us);
	wanted_us = limit_us + cell->stall_us;
	cell->wall_limit_us = wanted_us < most_us ? wanted_us : most_us;
	cell->is_starved = wanted_us > cell->wall_limit_us + limit_us / STARVED_PART;
	if (++cell->stall_looks > LOOKS)
		return false;
	if (cell->wall_limit_us < wall_us + LEAST_US)
		return may_wait && wait_on(cell, wall_us, cpu_us, most_us);
	cell->waiting_cpu_us = NOT_WAITING;
	return true;
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
