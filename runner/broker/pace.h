/*
 * pace.h - how fast runs of a queue start, measured while others wait in it. No I/O.
 *
 * The measure begins anew when the queue has been empty: how fast light runs started says nothing
 * about heavy ones. It halves its past every few seconds, so it follows a change.
 */
#ifndef CELLBLOCK_PACE_H
#define CELLBLOCK_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_KNOWN_US 1000000u /* measured for less than this, it is unknown */

struct pace {
	uint64_t since_us; /* the last time that `time_us` was brought up to date; 0: nobody waits */
	uint64_t time_us;  /* in which somebody waited */
	uint64_t starts;   /* in that time */
};

/* Somebody waits from now on, and nobody did before. */
void pace_begin(struct pace *pace, uint64_t now_us);

/* A run of the queue has started. */
void pace_count(struct pace *pace, uint64_t now_us);

/* Nobody waits any more. */
void pace_end(struct pace *pace);

/* Whether it has been measured for long enough, and by enough starts. */
bool pace_is_known(const struct pace *pace, uint64_t now_us);

/* The time in which `runs` of them start, if the pace stays as it is. Only for a known pace. */
uint64_t pace_time_us(const struct pace *pace, uint64_t now_us, uint64_t runs);

#endif
