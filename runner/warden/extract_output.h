/* collect.h - what a compiler has made, taken out of the cell that it was made in. */
#ifndef CELLBLOCK_COLLECT_H
#define CELLBLOCK_COLLECT_H

#include <stdint.h>

/*
 * Copy the regular file `name` of at most `most` bytes, below the directory `box_fd`, into a sealed memfd that can be executed,
 * whatever has been put there: no link, no mount and no other kind of file is followed. For a cell in which nothing runs any
 * more. Returns the memfd, or -1 with errno.
 */
int extract_output(int box_fd, const char *name, uint64_t most);

#endif
