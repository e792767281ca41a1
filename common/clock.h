/* clock.h - the clock for deadlines and durations. */
#ifndef CELLBLOCK_CLOCK_H
#define CELLBLOCK_CLOCK_H

#include <stdint.h>

/* Microseconds since some point in the past. Never goes back or jumps (CLOCK_MONOTONIC). */
uint64_t clock_us(void);

#endif
