/*
 * stretch.h - a run's limit of wall time grows by what the run had to wait for a processor
 * (stall.h).
 *
 * A run that ends before its limit costs nothing. One that meets it is looked at, and goes on for
 * as long as it has waited; then it is looked at again. It never takes longer than
 * config_wall_most_ms.
 */
#ifndef CELLBLOCK_STRETCH_H
#define CELLBLOCK_STRETCH_H

#include <stdbool.h>
#include <stdint.h>

struct broker;
struct cell;

/* A run begins, with cell->limits. */
void stretch_begin(struct cell *cell);

/*
 * A run has met cell->wall_limit_us: stretch that. `wall_us`, `cpu_us`: the times of the run so
 * far. Sets cell->stall_us. Returns whether the run may go on.
 */
bool stretch_wall_limit(struct broker *broker, struct cell *cell, uint64_t wall_us, uint64_t cpu_us);

#endif
