/* cgroup.c - see cgroup.h. Runs in the broker, which owns the groups' directories. */
#define _GNU_SOURCE
#include "broker/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct cgroup_cell cgroup_no_cell = { .memory_limit_fd = -1,
	.swap_limit_fd = -1,
	.memory_now_fd = -1,
	.kernel_now_fd = -1,
	.memory_peak_fd = -1,
	.memory_reclaim_fd = -1,
	.memory_events_fd = -1,
	.pids_max_fd = -1,
	.pids_now_fd = -1,
	.pids_events_fd = -1,
	.pids_peak_fd = -1,
	.cpu_usage_fd = -1,
	.memory_limit_bytes = UINT64_MAX };

static int
write_number(int fd, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%llu", (unsigned long long)value);

	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -1;
}

/*
 * Read a file that holds one number, or the number behind `key` in a file of "key number" lines.
 * Returns 0 on failure.
 */
static uint64_t
read_number(int fd, const char *key)
{
	char text[2048]; /* memory.stat has what we read in its first lines */
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
	char *line = text;
	size_t key_size;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (key == NULL)
		return strtoull(text, NULL, 10);
	key_size = strlen(key);
	for (; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, key_size) == 0 && line[key_size] == ' ')
			return strtoull(line + key_size + 1, NULL, 10);
	}
	return 0;
}

/*
 * After one of version 1's two limits could not be set: remove both. In this order the kernel never
 * rejects that. Keeps errno.
 */
static void
forget_limit(struct cgroup_cell *cell)
{
	int error = errno;

	if (cell->swap_limit_fd >= 0 && pwrite(cell->swap_limit_fd, "-1", 2, 0) == 2 &&
	    pwrite(cell->memory_limit_fd, "-1", 2, 0) == 2)
		cell->memory_limit_bytes = UINT64_MAX;
	errno = error;
}

int
cgroup_limit(struct cgroup_cell *cell, uint64_t memory_bytes, uint64_t tasks)
{
	if (memory_bytes != cell->memory_limit_bytes) {
		/*
		 * Version 1 keeps memory <= memory+swap at all times, so the order depends on the
		 * direction.
		 */
		bool lower = memory_bytes < cell->memory_limit_bytes;
		int order[2] = { lower ? cell->memory_limit_fd : cell->swap_limit_fd,
			lower ? cell->swap_limit_fd : cell->memory_limit_fd };

		/*
		 * Below the memory in use, version 1 rejects a limit (EBUSY); version 2 sets it and
		 * kills.
		 */
		uint64_t kills = lower ? cgroup_oom_kills(cell) : 0;

		for (int i = 0; i < 2; i++) {
			if (order[i] >= 0 && write_number(order[i], memory_bytes) != 0) {
				forget_limit(cell);
				return -1;
			}
		}
		cell->memory_limit_bytes = memory_bytes;
		if (lower && cgroup_oom_kills(cell) > kills) {
			errno = EBUSY;
			return -1;
		}
	}
	if (tasks != cell->pids_limit) {
		if (write_number(cell->pids_max_fd, tasks) != 0)
			return -1;
		cell->pids_limit = tasks;
	}
	/*
	 * The peak of an earlier run must not show as this one's. Version 2 can reset it from Linux
	 * 6.12 on.
	 */
	if (cell->memory_peak_fd >= 0)
		cell->memory_peak_base = write_number(cell->memory_peak_fd, 0) == 0 ? 0 : read_number(cell->memory_peak_fd, NULL);
	return 0;
}

uint64_t
cgroup_reclaim_argument(const struct cgroup_tree *tree, uint64_t bytes)
{
	/* Version 1 has a file that empties a group, whatever is written to it. */
	return tree->version == 1 ? 0 : bytes;
}

uint64_t
cgroup_memory_peak_bytes(const struct cgroup_cell *cell)
{
	uint64_t peak = read_number(cell->memory_peak_fd, NULL);

	return peak > cell->memory_peak_base ? peak : 0;
}

uint64_t
cgroup_memory_now_bytes(const struct cgroup_cell *cell)
{
	return read_number(cell->memory_now_fd, NULL);
}

uint64_t
cgroup_kernel_now_bytes(const struct cgroup_tree *tree, const struct cgroup_cell *cell)
{
	/* Linux 5.18 has the sum as "kernel". Names that are not there are "slab". */
	uint64_t bytes = read_number(cell->kernel_now_fd, tree->version == 1 ? NULL : "kernel");

	return bytes != 0 || tree->version == 1 ? bytes : read_number(cell->kernel_now_fd, "slab");
}

uint64_t
cgroup_pids_now(const struct cgroup_cell *cell)
{
	return read_number(cell->pids_now_fd, NULL);
}

uint64_t
cgroup_pids_peak(const struct cgroup_cell *cell)
{
	return read_number(cell->pids_peak_fd, NULL);
}

uint64_t
cgroup_cpu_us(const struct cgroup_tree *tree, const struct cgroup_cell *cell)
{
	return tree->version == 1 ? read_number(cell->cpu_usage_fd, NULL) / 1000u : read_number(cell->cpu_usage_fd, "usage_usec");
}

uint64_t
cgroup_oom_kills(const struct cgroup_cell *cell)
{
	return read_number(cell->memory_events_fd, "oom_kill");
}

uint64_t
cgroup_fork_refusals(const struct cgroup_cell *cell)
{
	return read_number(cell->pids_events_fd, "max");
}
