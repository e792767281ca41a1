/*
 * arenas.h - Python's small objects, side by side in one part of the address space.
 *
 * Python takes its memory for small objects in arenas, each a mapping of its own. A zygote that has
 * imported much has hundreds of them, and each fork would copy them one by one.
 */
#ifndef CELLBLOCK_ARENAS_H
#define CELLBLOCK_ARENAS_H

#include <stddef.h>

/*
 * From now on Python's arenas lie side by side. Does nothing where the address space is too small,
 * or where Python has no arenas.
 */
void arenas_begin(void);

/*
 * New arenas are Python's own affair again. Returns where those since arenas_begin lie, of *size
 * bytes; NULL if there are none.
 */
char *arenas_end(size_t *size);

/*
 * After arenas_end: leave no free place in Python's arenas except in a new one, as memory_fill_heap
 * does in the heap. A guest's small objects lie side by side there, and not in a hundred pages that
 * are copied for them. A later call fills what has become free in the old ones. Does nothing
 * without arenas_begin.
 */
void arenas_fill(void);

#endif
