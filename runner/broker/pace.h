/*
 * pace.h - how fast runs of a queue start, measured while others wait in it. No I/O.
 *
 * The measure begins anew when the queue has been empty: how fast light runs started says nothing
 * about heavy ones. It begins with the first start of one that had to wait, and is unknown before
 * as many have started as run at the same time: until then none of them may have ended yet.
 * It halves its past every few seconds, so it follows a change.
 */
#ifndef CELLBLOCK_PACE_H
#define CELLBLOCK_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint64_t begins_us; /* who starts later had to wait; 0: nobody waits */
	uint64_t since_us;  /* the last time that `time_us` was brought up to date; 0: none has started */
	uint64_t time_us;   /* since the first start */
	uint64_t starts;    /* in that time */
};

/* Somebody waits from now on, and nobody did before. */
void pace_begin(struct pace *pace, uint64_t now_us);

/* A run of the queue has started; `at_once` of them run at the same time. */
void pace_count(struct pace *pace, uint64_t now_us, uint32_t at_once);

/* Nobody waits any more. */
void pace_end(struct pace *pace);

/* Whether it has been measured for long enough, and by enough starts. */
bool pace_is_known(const struct pace *pace, uint64_t now_us, uint32_t at_once);

/* The time in which `runs` of them start, if the pace stays as it is. Only for a known pace. */
uint64_t pace_time_us(const struct pace *pace, uint64_t now_us, uint64_t runs);

#endif
