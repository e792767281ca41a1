/*
 * cgroup.h - one control group per cell, version 1 or 2, whichever holds the controllers on this host.
 *
 * A cell's group is made once and used by one run after the other; a guest joins it by itself (version 1) or is born
 * in it (version 2), through descriptors opened here.
 */
#ifndef CELLBLOCK_CGROUP_H
#define CELLBLOCK_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "messages.h"

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_CPU,
	CGROUP_CPUACCT, /* version 1 only */
	CGROUP_CONTROLLERS
};

struct cgroup_tree {
	int version;                        /* 1 or 2; 0: none */
	int root_fd[CGROUP_CONTROLLERS];    /* our directory in each hierarchy; the same number where they share one */
	char path[CGROUP_CONTROLLERS][256]; /* of these directories, for messages and for removal */
	char home[512];                     /* version 2: the group that we came from */
};

/* What a cell has open of its group. -1 where there is none. */
struct cgroup_cell {
	int join_fd[REQUEST_CGROUPS_MAX]; /* handed to the guest */
	size_t joins;
	int memory_limit_fd;
	int swap_limit_fd;
	int memory_now_fd;
	int memory_peak_fd;
	int memory_reclaim_fd; /* to write to, so that the kernel reclaims; -1: the kernel has no such file */
	int memory_events_fd;
	int pids_max_fd;
	int pids_now_fd;
	int pids_events_fd;
	int pids_peak_fd;
	int cpu_usage_fd;
	uint64_t memory_peak_base;   /* up to here the peak is that of an earlier run */
	uint64_t memory_limit_bytes; /* as last written; the highest number: none yet */
	uint64_t pids_limit;
};

/* Of a cell without a group. */
extern const struct cgroup_cell cgroup_no_cell;

/*
 * Find the hierarchies, make our directory `name` in each and give it to `owner` (with the rights the runner was
 * started with). `parent` is where, or NULL to find a place. With version 2 this process moves into a group below it, so that
 * its descendants may be born in those of cells. Returns 0, or -1 with a text in `error`.
 */
int cgroup_open(struct cgroup_tree *tree, const char *parent, const char *name, uid_t owner, char *error, size_t size);

/*
 * Make the group of cell `number`. `cpu_percent`: its share of CPU time. `has_sockets`: its runs may have some, whose buffers
 * version 1 counts apart from all other memory. Returns 0, or -1 with a text in `error`.
 */
int cgroup_make_cell(const struct cgroup_tree *tree, unsigned number, unsigned cpu_percent, bool has_sockets,
    struct cgroup_cell *cell, char *error, size_t size);

/* Set a cell's limits, and its peak back to nothing. Returns 0, or -1 with errno (EBUSY: more memory than that is in use
 * already): then no run may start. */
int cgroup_limit(struct cgroup_cell *cell, uint64_t memory_bytes, uint64_t tasks);

/* The number to write to memory_reclaim_fd so that all of `bytes`, as far as possible, is reclaimed. */
uint64_t cgroup_reclaim_argument(const struct cgroup_tree *tree, uint64_t bytes);

/* Figures of a cell; 0 where the host does not tell. */
uint64_t cgroup_memory_now_bytes(const struct cgroup_cell *cell);
uint64_t cgroup_memory_peak_bytes(const struct cgroup_cell *cell);
uint64_t cgroup_pids_now(const struct cgroup_cell *cell);
uint64_t cgroup_pids_peak(const struct cgroup_cell *cell);
uint64_t cgroup_cpu_us(const struct cgroup_tree *tree, const struct cgroup_cell *cell);

/* How often the kernel killed for memory, and refused a fork, in this group's life. */
uint64_t cgroup_oom_kills(const struct cgroup_cell *cell);
uint64_t cgroup_fork_refusals(const struct cgroup_cell *cell);

/* Undo cgroup_open: this process goes back to where it was, and our directories are removed if they are empty. */
void cgroup_remove(const struct cgroup_tree *tree);

/* Remove what an earlier runner of this name left behind, wherever it was started: all empty groups that have the name, and
 * those below them. */
void cgroup_clean(const char *name);

#endif
