/*
 * selftest.h - real attacks through the real path, before the first run and whenever a zygote is new.
 *
 * A zygote serves when a guest of its own has tried what attack.h lists, in an armed cell and behind its last wall, and
 * nothing got out. The first zygote of a language has more guests try more: to use too much memory, time, tasks, and the calls
 * that are to end who makes them. What is found decides which layers are in force (layers.h). A required one that is not stops the
 * service: the broker lives on only to say so.
 *
 * To the rest of the broker such a guest is a run like any other, in a cell that is made for it.
 */
#ifndef CELLBLOCK_SELFTEST_H
#define CELLBLOCK_SELFTEST_H

#include <stdint.h>

#include "broker/layers.h"

struct broker;
struct cell;
struct zygote;

#define SELFTEST_NAMESPACES 6

/* What the host has, to be told from what we have made: inode numbers of its namespaces. */
struct selftest_host {
	uint64_t namespaces[SELFTEST_NAMESPACES];
};

/* On the host, before any namespace is made. */
void selftest_look_at_host(struct selftest_host *host);

/* In the broker's namespaces, with the host's /proc: are they others, and is root of the host nobody in them? */
void selftest_look_at_self(struct broker *broker, const struct selftest_host *host, int proc_fd);

/*
 * Make a free cell for the next part of the test of a zygote that is not proved. The rest goes by itself. Returns 0, or -1 if
 * the cell could not be ordered.
 */
int selftest_arm(struct broker *broker, struct cell *cell, struct zygote *zygote);

/* A required layer does not hold: no run goes on, and none begins. */
void selftest_stop_serving(struct broker *broker);

#endif
