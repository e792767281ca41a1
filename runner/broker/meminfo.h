/*
 * meminfo.h - the file that a cell has in the place of /proc/meminfo: it tells the memory that the
 * run may use, and not the host's.
 */
#ifndef CELLBLOCK_MEMINFO_H
#define CELLBLOCK_MEMINFO_H

#include <stdint.h>

/*
 * Write the file of cell `number` in `directory_fd`, for a run that may use `bytes` of memory.
 * Nobody reads it meanwhile: the cell's guest waits for its run. Returns 0, or -1 with errno.
 */
int meminfo_write(int directory_fd, uint32_t number, uint64_t bytes);

#endif
