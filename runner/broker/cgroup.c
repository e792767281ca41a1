/* cgroup.c - see cgroup.h. Runs in the broker, which owns the groups' directories. */
#define _GNU_SOURCE
#include "broker/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdpass.h"

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

void
cgroup_name(uint32_t number, bool is_renewed, char name[CGROUP_NAME_SIZE])
{
	snprintf(name, CGROUP_NAME_SIZE, "cell-%u%s", number, is_renewed ? "-b" : "");
}

/* The files of a pids group that stay open, in the order of cgroup_renew_pids. */
static const struct pids_file {
	const char *name;
	int flags;
	bool must;
} pids_files[] = {
	{ "tasks", O_WRONLY, true },
	{ "pids.max", O_WRONLY, true },
	{ "pids.current", O_RDONLY, true },
	{ "pids.events", O_RDONLY, false },
	{ "pids.peak", O_RDONLY, true },
};
#define PIDS_FILES (sizeof pids_files / sizeof pids_files[0])

/* Make a group and open its files. Returns 0, or -1 with errno; then it is not there. */
static int
make_pids_group(int parent_fd, const char *name, int fds[PIDS_FILES])
{
	size_t count = 0;
	int dir_fd, error;

	/* An old one may be left, if its last process was still coming to its end. */
	if (mkdirat(parent_fd, name, 0755) != 0 &&
	    (errno != EEXIST || unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 || mkdirat(parent_fd, name, 0755) != 0))
		return -1;
	dir_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (; dir_fd >= 0 && count < PIDS_FILES; count++) {
		fds[count] = openat(dir_fd, pids_files[count].name, pids_files[count].flags | O_CLOEXEC);
		if (fds[count] < 0 && pids_files[count].must)
			break;
	}
	error = errno;
	fdpass_close(&dir_fd, 1);
	if (count == PIDS_FILES)
		return 0;
	fdpass_close(fds, count);
	unlinkat(parent_fd, name, AT_REMOVEDIR);
	errno = error;
	return -1;
}

int
cgroup_renew_pids(const struct cgroup_tree *tree, struct cgroup_cell *cell, uint32_t number)
{
	int *const places[PIDS_FILES] = { &cell->join_fd[cell->pids_join], &cell->pids_max_fd, &cell->pids_now_fd,
		&cell->pids_events_fd, &cell->pids_peak_fd };
	char name[CGROUP_NAME_SIZE];
	int fds[PIDS_FILES];

	if (tree->renew_fd < 0 || cell->pids_peak_fd < 0)
		return -1;
	cgroup_name(number, !cell->is_renewed, name);
	if (make_pids_group(tree->renew_fd, name, fds) != 0)
		return -1;
	for (size_t i = 0; i < PIDS_FILES; i++) {
		fdpass_close(places[i], 1);
		*places[i] = fds[i];
	}
	cgroup_name(number, cell->is_renewed, name);
	unlinkat(tree->renew_fd, name, AT_REMOVEDIR);
	cell->is_renewed = !cell->is_renewed;
	cell->pids_limit = 0; /* none is written yet */
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
