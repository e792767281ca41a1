/* generations_next.h - a new generation, from the wish for it to the end of the old one. */
#ifndef CELLBLOCK_GENERATIONS_NEXT_H
#define CELLBLOCK_GENERATIONS_NEXT_H

#include "generations_work.h"

/*
 * Begin the reload that was asked for, unless it has to wait. Returns only if this program stays:
 * else the one on the disk is executed in its place, and calls generations_next_start.
 */
void generations_next_begin(struct work *work);

/* Start a new generation, with a line in the log if that fails. */
void generations_next_start(struct work *work);

/* The new generation is ready: the old one finishes its work. */
void generations_next_take_over(struct work *work);

/* The new generation does not become ready: the old one stays. `why` is for the log. */
void generations_next_give_up(struct work *work, const char *why);

#endif
