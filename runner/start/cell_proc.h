/*
 * cell_proc.h - what the roots need so that cells have a /proc of their own, and tell how many
 * processors there are.
 *
 * Each cell mounts a procfs of its own pid namespace (warden/cell_proc_mount.h). What it shows of
 * the machine would be the host's, so files of ours lie in the place of those that tell how many
 * processors and how much memory there are. Here these files are made, once for all cells.
 *
 * The kernel lets root of a user namespace mount a procfs only where one can be seen already. So
 * each root has an anchor: the procfs of a pid namespace that has ended. It shows nothing.
 */
#ifndef CELLBLOCK_CELL_PROC_H
#define CELLBLOCK_CELL_PROC_H

#include <stddef.h>
#include <stdint.h>

struct cell_proc {
	unsigned processors; /* that a cell may use at the same time */
	/*
	 * Where the parts lie in the mount namespace of the start, until the roots are made; NULL:
	 * cells have no /proc.
	 */
	const char *anchor;
	const char *files;
};

/*
 * The number of processors that a cell may use at the same time. `cpu_percent` 0: all that there
 * are.
 */
unsigned cell_proc_processors(uint32_t cpu_percent);

/*
 * Make the parts for proc->processors, on a tmpfs over /proc. `proc_fd`: the host's /proc. `cells`:
 * the number of cells, each of which has a file of its memory; broker/meminfo.h writes them. Needs
 * CAP_SYS_ADMIN over the mount namespace, of which no mount is shared. Sets *files_fd to the
 * directory of the files, which is the caller's. Returns 0, or -1 with the failed step in `error`.
 */
int cell_proc_make(struct cell_proc *proc, int proc_fd, uint32_t cells, int *files_fd, char *error, size_t size);

/*
 * Place all of it in the root that is the working directory: bind the anchor and the files, which
 * every cell covers, if there are some; write what tells the number of processors in /sys, which
 * has nothing else. Returns 0, or -1 with errno.
 */
int cell_proc_place(const struct cell_proc *proc);

#endif
