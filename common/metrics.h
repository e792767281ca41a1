/*
 * metrics.h - the broker's figures, in memory that the broker alone writes and others map to read.
 *
 * The memory is a memfd with F_SEAL_FUTURE_WRITE, SHRINK and GROW: a process that gets the
 * descriptor (PROTO_METRICS, proto.h) can neither write it nor make its mapping fault. There is one
 * writer, so a counter is one relaxed load and one relaxed store. A reader sees each number whole,
 * but two numbers need not be of the same moment.
 *
 * Counters only grow, and begin at 0 with each runner. Figures of the present (a "gauge") are set
 * when PROTO_METRICS is asked, so a run does not pay for them.
 */
#ifndef CELLBLOCK_METRICS_H
#define CELLBLOCK_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

#define METRICS_VERSION 1u
#define METRICS_LANGUAGES 64 /* as CONFIG_MAX_LANGUAGES */
#define METRICS_KEYS 100     /* that have figures of their own */
#define METRICS_CALLS 512    /* system calls by number; all others are counted together */
#define METRICS_CELL_STATES 12
#define METRICS_STATE_NAME_SIZE 16
#define METRICS_BUCKETS 17
#define METRICS_REFUSALS (REFUSED_TOO_LARGE + 1)

/* The upper ends of the buckets of every histogram, in microseconds: 0.5 ms to 120 s. */
#define METRICS_BUCKET_ENDS_US \
	{ \
		500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, \
		    30000000, 60000000, 120000000 \
	}

/* The times of a run that have a histogram. */
enum metrics_time {
	METRICS_QUEUE, /* the wait for a cell */
	METRICS_SPAWN, /* from having a cell to handing the code over */
	METRICS_WALL,  /* from that to the end of the program */
	METRICS_CPU,
	METRICS_TIMES
};

struct metrics_histogram {
	uint64_t bucket[METRICS_BUCKETS + 1]; /* values up to the bucket's end and above the one before; the last has no end */
	uint64_t sum_us;
};

/* The states of a language, as in runner/broker/language.h. */
enum metrics_language_state {
	METRICS_MISSING,
	METRICS_ASLEEP,
	METRICS_STARTING,
	METRICS_SERVING,
	METRICS_FAILING,
	METRICS_LANGUAGE_STATES
};

struct metrics_language {
	char name[PROTO_NAME_SIZE]; /* ended by NUL */
	uint64_t is_compiled;       /* bool */

	/* Counters. */
	uint64_t runs[VERDICT_COUNT];
	uint64_t compilations[VERDICT_COUNT];
	uint64_t refusals[METRICS_REFUSALS]; /* by enum refusal */
	uint64_t cache_hits, cache_misses;   /* of the compile cache */
	uint64_t zygotes_replaced;           /* in turn, by a younger one */
	uint64_t zygote_deaths;
	uint64_t warden_deaths;
	uint64_t zygote_forks;                        /* guests requested of its zygotes */
	struct metrics_histogram time[METRICS_TIMES]; /* of its runs; compilations are not in there */

	/* Gauges. */
	uint64_t state;            /* enum metrics_language_state */
	uint64_t zygotes;          /* that serve */
	uint64_t zygote_oldest_us; /* the age of the oldest of them */
	uint64_t running, queued;  /* runs and compilations */
	uint64_t armed;            /* cells */

	uint64_t ended_forks; /* the writer's own: guests requested of the zygotes that were replaced */
};

/* Cells in one state. */
struct metrics_cells {
	char state[METRICS_STATE_NAME_SIZE]; /* ended by NUL; empty: no more states */
	uint64_t count;
};

/*
 * The account of one API key. A key that was silent for ten minutes gives its place to another, and
 * its figures are added to those of all others: so no sum shrinks.
 */
struct metrics_key {
	uint64_t turn;                  /* odd: the place is being given to another key */
	char name[PROTO_KEY_NAME_SIZE]; /* ended by NUL; empty: the place is free */

	/* Counters. */
	uint64_t runs, refusals, cpu_us;

	/* Gauges. */
	uint64_t running, waiting;

	uint64_t used_us; /* when last, by clock_us() of the broker */
};

struct metrics {
	uint64_t version;    /* METRICS_VERSION; set last */
	uint64_t started_us; /* CLOCK_REALTIME */
	uint64_t generation; /* of the runner; 0: it has none */
	uint64_t language_count;

	/* Gauges. */
	uint64_t cell_count, queue_most; /* as configured */
	uint64_t running, queued;
	uint64_t connections; /* of workers */
	uint64_t cache_bytes, cache_most_bytes, cache_programs;
	struct metrics_cells cells[METRICS_CELL_STATES];

	/* Counters. */
	uint64_t denied[METRICS_CALLS + 1]; /* system calls, by number; the last: all others */

	struct metrics_language language[METRICS_LANGUAGES]; /* in the configuration's order */
	struct metrics_key key[METRICS_KEYS + 1];            /* the last: all others together */
};

/* Add to a counter. For its one writer. */
static inline void
metrics_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* Set a gauge. */
static inline void
metrics_set(uint64_t *gauge, uint64_t n)
{
	__atomic_store_n(gauge, n, __ATOMIC_RELAXED);
}

_Static_assert(sizeof(struct metrics) % sizeof(uint64_t) == 0, "it is copied in words");

#endif
