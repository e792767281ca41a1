/* keep.h - level chroot: what the broker has to do with the keepers of its cells; see keeper.h. */
#ifndef CELLBLOCK_KEEP_H
#define CELLBLOCK_KEEP_H

#include "broker/broker.h"

/*
 * For a cell that is to be made: choose its tree, and make the connection to its keeper, whose end is *reaper_fd, the caller's.
 * cell->init is the broker's end of it. Returns 0, or -1 with errno.
 */
int reaper_link_begin(struct broker *broker, struct cell *cell, int *reaper_fd);

/* A run begins in it. */
void reaper_link_watch(const struct cell *cell);

/* Has the run used up its disk? For one that has failed. */
bool reaper_link_is_full(const struct cell *cell);

/* Have all that is in it killed; if its client waits for what a compiler has made, that is sent to the client first. */
void reaper_link_end(const struct cell *cell);

/* Is there any process of the cell? */
bool reaper_link_is_left(const struct broker *broker, const struct cell *cell);

/* Its keeper has died, and could not be replaced then. */
void reaper_link_again(struct broker *broker, struct cell *cell);

#endif
