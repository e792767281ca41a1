/* dispatch.h - which run gets which cell, and which cells are armed. */
#ifndef CELLBLOCK_DISPATCH_H
#define CELLBLOCK_DISPATCH_H

struct broker;

/*
 * Give waiting runs to armed cells, test new zygotes, and arm what is wanted. Called by the loop
 * once a turn.
 */
void dispatch(struct broker *broker);

#endif
