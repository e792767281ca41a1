/*
 * zygote.h - a place for a zygote: a warm process that forks guests.
 *
 * Places come in pairs, of which one has a zygote. When that has made its number of guests, a new
 * one is started and tested in the other place. The old one serves until then.
 */
#ifndef CELLBLOCK_ZYGOTE_PLACE_H
#define CELLBLOCK_ZYGOTE_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/poller.h"

struct language;

struct zygote {
	struct language *language;
	struct zygote *other; /* place of the pair */
	uint32_t number;      /* within the language */
	uint32_t pool;        /* of the language, whose cells it makes */

	pid_t pid;          /* of the process that serves; 0: none */
	uint64_t serves_us; /* since when */
	uint64_t forks;     /* of that process */

	pid_t starting_pid;   /* of the process that serves as soon as it has reported; 0: none */
	struct watch report;  /* where that one reports */
	uint64_t deadline_us; /* for the report */
	uint64_t retry_us;    /* no process is started before */
	unsigned failures;    /* of such processes in a row */

	/* The self-test of the process that serves. */
	bool is_verified; /* it has passed: only then its guests are given runs */
	bool is_in_test;
	unsigned test_part;  /* the next one */
	unsigned test_parts; /* the number of parts that it has to pass */
	uint64_t test_began_us;
	unsigned test_failures; /* in a row */
	uint64_t test_us;       /* no part is begun before */
};

#endif
