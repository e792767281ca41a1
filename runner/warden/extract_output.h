/* extract_output.h - takes the output of a compiler out of the cell in which it ran. */
#ifndef CELLBLOCK_EXTRACT_OUTPUT_H
#define CELLBLOCK_EXTRACT_OUTPUT_H

#include <stdint.h>

/*
 * Copy the regular file `name` of at most `most` bytes, below the directory `box_fd`, into a sealed
 * memfd that can be executed. A program may have put anything there: no link, no mount and no other
 * kind of file is followed. For a cell in which no process is left. Returns the memfd, which the
 * caller owns, or -1 with errno.
 */
int extract_output(int box_fd, const char *name, uint64_t most);

#endif
