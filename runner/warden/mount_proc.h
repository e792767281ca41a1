/*
 * mount_proc.h - the /proc of a cell: a procfs of its pid namespace that shows processes and a list
 * of files, and nothing else.
 */
#ifndef CELLBLOCK_MOUNT_PROC_H
#define CELLBLOCK_MOUNT_PROC_H

#include <stdint.h>

/*
 * Mount it for cell `number`. Called in the cell's init, in the cell's namespaces, before /tmp is
 * covered (start/cell_proc.h). The init must have nothing open and needs no working directory: it
 * keeps open and enters what the list has. Returns 0, or -1 with errno.
 */
int mount_proc(uint32_t number);

#endif
