/* clock.h - the clock by which deadlines and times are kept. */
#ifndef CELLBLOCK_CLOCK_H
#define CELLBLOCK_CLOCK_H

#include <stdint.h>

/* Microseconds since some point in the past. It only goes forward, and steadily (CLOCK_MONOTONIC). */
uint64_t clock_us(void);

#endif
