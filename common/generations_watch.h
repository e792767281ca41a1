/* generations_watch.h - files whose change asks for a new generation. */
#ifndef CELLBLOCK_GENERATIONS_WATCH_H
#define CELLBLOCK_GENERATIONS_WATCH_H

#include <stdint.h>

#include "generations_work.h"

/* Note how the files are now. */
void generations_watch_begin(struct work *work, uint64_t now_us);

/*
 * Ask for a new generation when a watched file has changed and all have been quiet for one look: an
 * installation takes a while. Does nothing until it is time to look (work->look_us).
 */
void generations_watch_look(struct work *work, uint64_t now_us);

#endif
