/*
 * cgroup.h - the control group of a cell: its limits, and the figures of a run.
 *
 * The groups are of version 1 or 2, depending on where this host has its controllers. Each is made
 * once, at the start (start/cgroup_open.h), and used by one run after the other. A guest joins it
 * by itself (version 1) or is born in it (version 2), through the descriptors in struct
 * cgroup_cell.
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

/*
 * The runner's directory in each hierarchy. The broker uses `version` only; the rest is for
 * start/cgroup_open.c.
 */
struct cgroup_tree {
	int version;                        /* 1 or 2; 0: there are no control groups */
	int root_fd[CGROUP_CONTROLLERS];    /* the directories; the same number where controllers share one. -1: not open */
	char path[CGROUP_CONTROLLERS][256]; /* of these directories, for messages and for removal */
	char home[512];                     /* version 2: the group that this process came from */
	char disable[32];                   /* version 2: controllers that we enabled in the group above, to be disabled */
	int renew_fd;                       /* the directory in which cgroup_renew_pids makes groups; -1: it makes none */
};

/* The descriptors of a cell's group. -1 where the host has no such file. */
struct cgroup_cell {
	int join_fd[REQUEST_CGROUPS_MAX]; /* handed to the guest */
	size_t joins;
	int memory_limit_fd;
	int swap_limit_fd;
	int memory_now_fd;
	int kernel_now_fd; /* the kernel's memory: version 1, a number; version 2, memory.stat */
	int memory_peak_fd;
	int memory_reclaim_fd; /* to write to, so that the kernel reclaims; -1: the kernel has no such file */
	int memory_events_fd;
	int pids_max_fd;
	int pids_now_fd;
	int pids_events_fd;
	int pids_peak_fd;
	int cpu_usage_fd;
	uint64_t memory_peak_base;   /* up to this value the peak is an earlier run's */
	uint64_t memory_limit_bytes; /* as last written; UINT64_MAX: none yet */
	uint64_t pids_limit;
	size_t pids_join; /* of join_fd, that of its pids group */
	bool is_renewed;  /* its pids group has the second of its two names */
};

/* The value for a cell without a group. */
extern const struct cgroup_cell cgroup_no_cell;

/*
 * Set the limits of a cell's next run, and reset its memory peak. Returns 0, or -1 with errno
 * (EBUSY: the cell already uses more memory than that); then no run may start in it.
 */
int cgroup_limit(struct cgroup_cell *cell, uint64_t memory_bytes, uint64_t tasks);

/*
 * The number to write to memory_reclaim_fd so that all of `bytes`, as far as possible, is
 * reclaimed.
 */
uint64_t cgroup_reclaim_argument(const struct cgroup_tree *tree, uint64_t bytes);

/*
 * Make the pids group of cell `number` anew, with a peak of zero: the kernel never sets the peak
 * back. Nothing may be in the cell. Returns 0, or -1 where the host or the tree has no such group,
 * or with errno; then the old group stays in use.
 */
int cgroup_renew_pids(const struct cgroup_tree *tree, struct cgroup_cell *cell, uint32_t number);

/* The name of a cell's group. Each cell has two: a group is made while the other one exists. */
#define CGROUP_NAME_SIZE 24
void cgroup_name(uint32_t number, bool is_renewed, char name[CGROUP_NAME_SIZE]);

/* Figures of a cell; 0 if the host does not report them. */
uint64_t cgroup_memory_now_bytes(const struct cgroup_cell *cell);
uint64_t cgroup_kernel_now_bytes(const struct cgroup_tree *tree, const struct cgroup_cell *cell);
uint64_t cgroup_memory_peak_bytes(const struct cgroup_cell *cell);
uint64_t cgroup_pids_now(const struct cgroup_cell *cell);
uint64_t cgroup_pids_peak(const struct cgroup_cell *cell);
uint64_t cgroup_cpu_us(const struct cgroup_tree *tree, const struct cgroup_cell *cell);

/*
 * How often the kernel has killed a process for memory, and has denied a fork, since the group was
 * made.
 */
uint64_t cgroup_oom_kills(const struct cgroup_cell *cell);
uint64_t cgroup_fork_refusals(const struct cgroup_cell *cell);

#endif
