/*
 * selftest.h - real attacks through the real path, before the first run and whenever a zygote is
 * new.
 *
 * A zygote serves when one of its guests has tried the attacks of attack.h, in an armed cell and
 * with all layers up, and none got out. The first zygote of a language has more guests try more:
 * they exceed the limits of memory, time and tasks, and make the calls that kill the caller. The
 * results decide which layers are in force (layers.h). A required layer that does not hold stops
 * the service: the broker lives on only to report it.
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

/* The inode numbers of the host's namespaces, from which those of cells must differ. */
struct selftest_host {
	uint64_t namespaces[SELFTEST_NAMESPACES];
};

/* Read them, on the host, before any namespace is made. */
void selftest_look_at_host(struct selftest_host *host);

/*
 * Verify, in the broker's namespaces and with the host's /proc, that the namespaces are new, and
 * that the host's root is not mapped in them.
 */
void selftest_look_at_self(struct broker *broker, const struct selftest_host *host, int proc_fd);

/*
 * Listen where a cell must not reach, as long as the broker lives: on an abstract name, in the
 * network namespaces of zygotes. Dies if that fails.
 */
void selftest_listen(const struct broker *broker);

/*
 * Make a free cell for the next part of the test of a zygote that is not verified. The rest goes by
 * itself. Returns 0, or -1 if the cell could not be requested.
 */
int selftest_arm(struct broker *broker, struct cell *cell, struct zygote *zygote);

/* A required layer does not hold: no run goes on, and none begins. */
void selftest_stop_serving(struct broker *broker);

#endif
