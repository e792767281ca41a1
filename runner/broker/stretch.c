/* stretch.c - see stretch.h. Runs in the broker. */
#include "broker/stretch.h"

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/language.h"
#include "broker/stall.h"

#define LEAST_US 1000u /* that is worth a look, or more time */
/*
 * From one look to the next: a part of the run's time so far, and a time at least. So the looks at
 * a run grow with the logarithm of its time only, and none can keep the broker busy.
 */
#define STEP_PART 64u
#define STEP_US 5000u
#define NOT_WAITING UINT64_MAX
#define STARVED_PART 10u /* of its limit that a run has lacked, if its end says nothing about it */

void
stretch_begin(struct cell *cell)
{
	cell->wall_limit_us = cell->limits.wall_ms * 1000;
	cell->stall_us = 0;
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
 * The next look is a step later, or when the run has had `wanted_us`. None is after `most_us`.
 */
static void
set_limit(struct cell *cell, uint64_t wall_us, uint64_t wanted_us, uint64_t most_us)
{
	uint64_t part_us = wall_us / STEP_PART, step_us = part_us > STEP_US ? part_us : STEP_US;

	wanted_us = wanted_us > wall_us + step_us ? wanted_us : wall_us + step_us;
	cell->wall_limit_us = wanted_us < most_us ? wanted_us : most_us;
}

/*
 * The time of a run is up that may be waiting now. The kernel tells a wait when it has ended: so
 * the run gets the time until it runs again, as long as it has not run since the last look.
 */
static bool
wait_on(struct cell *cell, uint64_t cpu_us)
{
	if (cell->waiting_cpu_us != NOT_WAITING && cell->waiting_cpu_us != cpu_us)
		return false;
	cell->waiting_cpu_us = cpu_us;
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
	cell->is_starved = wanted_us > most_us + limit_us / STARVED_PART;
	if (most_us < wall_us + LEAST_US)
		return false;
	if (wanted_us >= wall_us + LEAST_US)
		cell->waiting_cpu_us = NOT_WAITING;
	else if (!may_wait || !wait_on(cell, cpu_us))
		return false;
	set_limit(cell, wall_us, wanted_us, most_us);
	return true;
}
