/* cgroup.c - see cgroup.h. cgroup_open runs with the rights that the runner was started with, the rest in the broker,
 * as the owner of the directories that it made. */
#define _GNU_SOURCE
#include "broker/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_BYTES "16777216" /* buffers of a cell's sockets, where they do not count as its memory */
#define CPU_PERIOD_US 100000u
#define LEFT_POLL_NS 10000000 /* from one look at a group that an earlier runner left to the next */
#define LEFT_POLLS 500
#define RUNNER_LEAF "runner" /* of version 2: where all processes of ours are that are in no cell */

static const char *const controller_names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
	[CGROUP_CPUACCT] = "cpuacct",
};

const struct cgroup_cell cgroup_no_cell = {
	.memory_limit_fd = -1, .swap_limit_fd = -1, .memory_now_fd = -1, .memory_peak_fd = -1, .memory_reclaim_fd = -1, .memory_events_fd = -1, .pids_max_fd = -1,
	.pids_now_fd = -1, .pids_events_fd = -1, .pids_peak_fd = -1, .cpu_usage_fd = -1, .memory_limit_bytes = UINT64_MAX
};

/* ---- small files ------------------------------------------------------------------------------------------------ */

static int
write_number(int fd, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%llu", (unsigned long long)value);

	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -1;
}

static int
write_file(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return -1;
	result = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return result;
}

/* Read a file that holds one number, or the number behind `key` in a file of "key number" lines. 0 if it cannot. */
static uint64_t
read_number(int fd, const char *key)
{
	char text[1024];
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

/* ---- finding the hierarchies ------------------------------------------------------------------------------------ */

static bool
has_word(const char *list, const char *word, char separator)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at++) {
		bool starts = at == list || at[-1] == separator;
		bool ends = at[n] == '\0' || at[n] == separator || at[n] == '\n';

		if (starts && ends)
			return true;
	}
	return false;
}

/* Where the hierarchy of a controller is mounted ("" if nowhere), by /proc/self/mounts. NULL asks for version 2. */
static void
find_mount(const char *controller, char *path, size_t size)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[PATH_MAX + 512], where[PATH_MAX], type[64], options[512];

	path[0] = '\0';
	if (mounts == NULL)
		return;
	while (path[0] == '\0' && fgets(line, sizeof line, mounts) != NULL) {
		if (sscanf(line, "%*s %4095s %63s %511s", where, type, options) != 3)
			continue;
		if (controller == NULL ? strcmp(type, "cgroup2") == 0 :
		    strcmp(type, "cgroup") == 0 && has_word(options, controller, ','))
			snprintf(path, size, "%s", where);
	}
	fclose(mounts);
}

/* The group that this process is in: below the mount of `controller`'s hierarchy (NULL: version 2). */
static void
find_own(const char *controller, char *path, size_t size)
{
	FILE *groups = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 128];

	snprintf(path, size, "/");
	while (groups != NULL && fgets(line, sizeof line, groups) != NULL) {
		char *names = strchr(line, ':');
		char *where = names == NULL ? NULL : strchr(names + 1, ':');

		if (where == NULL)
			continue;
		*names++ = '\0';
		*where++ = '\0';
		where[strcspn(where, "\n")] = '\0';
		if (controller == NULL ? strcmp(line, "0") == 0 : has_word(names, controller, ','))
			snprintf(path, size, "%s", where);
	}
	if (groups != NULL)
		fclose(groups);
}

static bool
is_version_2(const char *mount)
{
	char path[PATH_MAX + 32], list[512] = "";
	FILE *file;

	snprintf(path, sizeof path, "%s/cgroup.controllers", mount);
	file = mount[0] == '\0' ? NULL : fopen(path, "re");
	if (file != NULL) {
		if (fgets(list, sizeof list, file) == NULL)
			list[0] = '\0';
		fclose(file);
	}
	return has_word(list, "memory", ' ') && has_word(list, "pids", ' ') && has_word(list, "cpu", ' ');
}

/* Make `path` ours. Returns its descriptor or -1 with a text in `error`. */
static int
make_directory(const char *path, uid_t owner, char *error, size_t size)
{
	/* What whoever moves a process between groups must be able to write; see cgroups(7), "delegation". */
	static const char *const delegated[] = { "cgroup.procs", "tasks", "cgroup.subtree_control", "cgroup.threads" };
	int fd;

	if (mkdir(path, 0755) != 0 && errno != EEXIST) {
		snprintf(error, size, "make control group %s: %s", path, strerror(errno));
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (geteuid() == 0 && fchown(fd, owner, owner) != 0)) {
		snprintf(error, size, "take over control group %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	for (size_t i = 0; geteuid() == 0 && i < sizeof delegated / sizeof delegated[0]; i++) {
		if (fchownat(fd, delegated[i], owner, owner, 0) != 0 && errno != ENOENT) {
			snprintf(error, size, "take over %s/%s: %s", path, delegated[i], strerror(errno));
			close(fd);
			return -1;
		}
	}
	return fd;
}

/* Move this process. */
static int
move_to(const char *path)
{
	char procs[PATH_MAX];
	int fd, result;

	snprintf(procs, sizeof procs, "%s/cgroup.procs", path);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	result = fd >= 0 && write(fd, "0", 1) == 1 ? 0 : -1;
	if (fd >= 0)
		close(fd);
	return result;
}

/*
 * Who is born in a group has to come from one below a common parent that is ours, so the runner goes into a leaf beside its
 * cells. It does so first of all: if it was alone in `base` (systemd's Delegate=yes), that has room for controllers then.
 */
static int
open_version_2(struct cgroup_tree *tree, const char *base, const char *name, uid_t owner, char *error, size_t size)
{
	static const char wanted[] = "+memory +pids +cpu";
	char leaf[sizeof tree->path[0] + sizeof RUNNER_LEAF];
	char *path = tree->path[0];
	int fd, leaf_fd, base_fd;

	if (snprintf(path, sizeof tree->path[0], "%s/%s", base, name) >= (int)sizeof tree->path[0]) {
		snprintf(error, size, "control group %s/%s: the path is too long", base, name);
		path[0] = '\0';
		return -1;
	}
	snprintf(leaf, sizeof leaf, "%s/" RUNNER_LEAF, path);
	fd = make_directory(path, owner, error, size);
	leaf_fd = fd < 0 ? -1 : make_directory(leaf, owner, error, size);
	tree->root_fd[0] = fd;
	tree->version = 2;
	if (leaf_fd < 0)
		goto failed;
	close(leaf_fd);
	if (move_to(leaf) != 0) {
		snprintf(error, size, "move the runner into control group %s: %s", leaf, strerror(errno));
		goto failed;
	}
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base_fd < 0 || write_file(base_fd, "cgroup.subtree_control", wanted) != 0) {
		snprintf(error, size, "enable memory, pids and cpu in %s/cgroup.subtree_control: %s%s", base, strerror(errno),
		    errno == EBUSY ? " (it has processes of its own: name another isolation.cgroup_parent)" : "");
		if (base_fd >= 0)
			close(base_fd);
		goto failed;
	}
	close(base_fd);
	if (write_file(fd, "cgroup.subtree_control", wanted) != 0) {
		snprintf(error, size, "enable controllers in %s: %s", path, strerror(errno));
		goto failed;
	}
	for (int c = 1; c < CGROUP_CONTROLLERS; c++) {
		tree->root_fd[c] = fd;
		memcpy(tree->path[c], path, sizeof tree->path[0]);
	}
	return 0;
failed:
	cgroup_remove(tree);
	if (fd >= 0)
		close(fd);
	tree->root_fd[0] = -1;
	tree->version = 0;
	path[0] = '\0';
	return -1;
}

static int
open_version_1(struct cgroup_tree *tree, const char *name, uid_t owner, char *error, size_t size)
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		char mount[PATH_MAX], own[PATH_MAX];

		find_mount(controller_names[c], mount, sizeof mount);
		if (mount[0] == '\0') {
			snprintf(error, size, "no mounted control group hierarchy has the controller \"%s\"", controller_names[c]);
			return -1;
		}
		find_own(controller_names[c], own, sizeof own);
		if (snprintf(tree->path[c], sizeof tree->path[c], "%s%s/%s", mount, strcmp(own, "/") == 0 ? "" : own, name) >=
		    (int)sizeof tree->path[c]) {
			snprintf(error, size, "the path of our control group in %s is too long", mount);
			return -1;
		}
		for (int earlier = 0; earlier < c; earlier++) {
			if (strcmp(tree->path[earlier], tree->path[c]) == 0)
				tree->root_fd[c] = tree->root_fd[earlier];
		}
		if (tree->root_fd[c] < 0 && (tree->root_fd[c] = make_directory(tree->path[c], owner, error, size)) < 0)
			return -1;
	}
	tree->version = 1;
	return 0;
}

int
cgroup_open(struct cgroup_tree *tree, const char *parent, const char *name, uid_t owner, char *error, size_t size)
{
	char mount[PATH_MAX], own[PATH_MAX], base[PATH_MAX];

	*tree = (struct cgroup_tree){ .version = 0 };
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		tree->root_fd[c] = -1;
	find_mount(NULL, mount, sizeof mount);
	find_own(NULL, own, sizeof own);
	if (snprintf(tree->home, sizeof tree->home, "%s%s", mount, own) >= (int)sizeof tree->home)
		tree->home[0] = '\0'; /* there is no way back then, which only matters to who removes what he made */
	if (parent != NULL)
		return open_version_2(tree, parent, name, owner, error, size);
	if (!is_version_2(mount))
		return open_version_1(tree, name, owner, error, size);
	/* A group with other processes cannot have children with controllers: above our own group there may be room. */
	for (char *end = own + (own[1] == '\0' ? 0 : strlen(own)); end != NULL; end = strrchr(own, '/')) {
		*end = '\0';
		if (snprintf(base, sizeof base, "%s%s", mount, own) < (int)sizeof base &&
		    open_version_2(tree, base, name, owner, error, size) == 0)
			return 0;
	}
	return -1;
}

/* ---- cells ------------------------------------------------------------------------------------------------------ */

struct cell_file {
	enum cgroup_controller controller;
	const char *name;
	int flags;
	bool must;
	size_t offset; /* of the descriptor in struct cgroup_cell */
};

#define CELL_FILE(controller, name, flags, must, member) \
	{ controller, name, flags, must, offsetof(struct cgroup_cell, member) }

static const struct cell_file version_1_files[] = {
	CELL_FILE(CGROUP_MEMORY, "memory.limit_in_bytes", O_WRONLY, true, memory_limit_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.memsw.limit_in_bytes", O_WRONLY, false, swap_limit_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.usage_in_bytes", O_RDONLY, true, memory_now_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.max_usage_in_bytes", O_RDWR, true, memory_peak_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.oom_control", O_RDONLY, true, memory_events_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.force_empty", O_WRONLY, false, memory_reclaim_fd),
	CELL_FILE(CGROUP_PIDS, "pids.max", O_WRONLY, true, pids_max_fd),
	CELL_FILE(CGROUP_PIDS, "pids.current", O_RDONLY, true, pids_now_fd),
	CELL_FILE(CGROUP_PIDS, "pids.events", O_RDONLY, false, pids_events_fd),
	CELL_FILE(CGROUP_PIDS, "pids.peak", O_RDONLY, false, pids_peak_fd),
	CELL_FILE(CGROUP_CPUACCT, "cpuacct.usage", O_RDONLY, true, cpu_usage_fd),
};

static const struct cell_file version_2_files[] = {
	CELL_FILE(CGROUP_MEMORY, "memory.max", O_WRONLY, true, memory_limit_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.current", O_RDONLY, true, memory_now_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.peak", O_RDWR, false, memory_peak_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.peak", O_RDONLY, false, memory_peak_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.events", O_RDONLY, true, memory_events_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.reclaim", O_WRONLY, false, memory_reclaim_fd), /* Linux 5.19 */
	CELL_FILE(CGROUP_PIDS, "pids.max", O_WRONLY, true, pids_max_fd),
	CELL_FILE(CGROUP_PIDS, "pids.current", O_RDONLY, true, pids_now_fd),
	CELL_FILE(CGROUP_PIDS, "pids.events", O_RDONLY, false, pids_events_fd),
	CELL_FILE(CGROUP_PIDS, "pids.peak", O_RDONLY, false, pids_peak_fd),
	CELL_FILE(CGROUP_CPU, "cpu.stat", O_RDONLY, true, cpu_usage_fd),
};

static int
open_files(const struct cell_file *files, size_t count, const int *dir_fds, struct cgroup_cell *cell, char *error,
    size_t size)
{
	for (size_t i = 0; i < count; i++) {
		int *fd = (int *)(void *)((char *)cell + files[i].offset);

		if (*fd >= 0)
			continue;
		*fd = openat(dir_fds[files[i].controller], files[i].name, files[i].flags | O_CLOEXEC);
		if (*fd < 0 && files[i].must) {
			snprintf(error, size, "open %s of a cell's control group: %s", files[i].name, strerror(errno));
			return -1;
		}
	}
	return 0;
}

static int
set_cpu_share(const struct cgroup_tree *tree, int dir_fd, unsigned percent)
{
	char text[64];
	unsigned quota_us = percent * (CPU_PERIOD_US / 100u);

	if (tree->version == 1) {
		snprintf(text, sizeof text, "%u", quota_us);
		return write_file(dir_fd, "cpu.cfs_quota_us", text);
	}
	snprintf(text, sizeof text, "%u %u", quota_us, CPU_PERIOD_US);
	return write_file(dir_fd, "cpu.max", text);
}

/*
 * A runner that was killed leaves its groups, with limits that may forbid the next one to set its own, and for a moment with processes.
 * They go first. Returns 0, or -1 with errno (EBUSY: there are processes in it still).
 */
static int
make_group(int root_fd, const char *name)
{
	const struct timespec wait = { .tv_nsec = LEFT_POLL_NS };

	for (int i = 0; mkdirat(root_fd, name, 0755) != 0; i++) {
		if (errno != EEXIST)
			return -1;
		if (unlinkat(root_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
			if (errno != EBUSY || i == LEFT_POLLS)
				return -1;
			nanosleep(&wait, NULL);
		}
	}
	return 0;
}

int
cgroup_make_cell(const struct cgroup_tree *tree, unsigned number, unsigned cpu_percent, bool has_sockets,
    struct cgroup_cell *cell, char *error, size_t size)
{
	int dir_fd[CGROUP_CONTROLLERS];
	char name[24];
	int result = -1;

	*cell = cgroup_no_cell;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		dir_fd[c] = -1;
	snprintf(name, sizeof name, "cell-%u", number);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		int join;

		for (int earlier = 0; earlier < c; earlier++) {
			if (tree->root_fd[earlier] == tree->root_fd[c])
				dir_fd[c] = dir_fd[earlier];
		}
		if (dir_fd[c] >= 0)
			continue;
		if (make_group(tree->root_fd[c], name) != 0 ||
		    (dir_fd[c] = openat(tree->root_fd[c], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
		    (join = tree->version == 1 ? openat(dir_fd[c], "tasks", O_WRONLY | O_CLOEXEC) :
		    fcntl(dir_fd[c], F_DUPFD_CLOEXEC, 0)) < 0) {
			snprintf(error, size, "make control group %s/%s: %s", tree->path[c], name, strerror(errno));
			goto out;
		}
		cell->join_fd[cell->joins++] = join;
	}
	if (tree->version == 1)
		result = open_files(version_1_files, sizeof version_1_files / sizeof version_1_files[0], dir_fd, cell, error,
		    size);
	else
		result = open_files(version_2_files, sizeof version_2_files / sizeof version_2_files[0], dir_fd, cell, error,
		    size);
	if (result == 0 && set_cpu_share(tree, dir_fd[CGROUP_CPU], cpu_percent) != 0) {
		snprintf(error, size, "set the CPU share of %s/%s: %s", tree->path[CGROUP_CPU], name, strerror(errno));
		result = -1;
	}
	if (result == 0 && has_sockets && tree->version == 1 &&
	    write_file(dir_fd[CGROUP_MEMORY], "memory.kmem.tcp.limit_in_bytes", SOCKET_BYTES) != 0 && errno != ENOENT) {
		snprintf(error, size, "limit the sockets of %s/%s: %s", tree->path[CGROUP_MEMORY], name, strerror(errno));
		result = -1;
	}
	/* Swap would turn a memory limit into slowness. A kernel without swap has no such file. */
	if (result == 0 && tree->version == 2 && write_file(dir_fd[CGROUP_MEMORY], "memory.swap.max", "0") != 0 &&
	    errno != ENOENT) {
		snprintf(error, size, "forbid %s/%s to swap: %s", tree->path[CGROUP_MEMORY], name, strerror(errno));
		result = -1;
	}
out:
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		bool seen = false;

		for (int earlier = 0; earlier < c; earlier++)
			seen = seen || dir_fd[earlier] == dir_fd[c];
		if (!seen && dir_fd[c] >= 0)
			close(dir_fd[c]);
	}
	return result;
}

/* Of version 1's two limits one may be set: take both away, which the kernel never refuses in this order. Keeps errno. */
static void
forget_limit(struct cgroup_cell *cell)
{
	int error = errno;

	if (cell->swap_limit_fd >= 0 && pwrite(cell->swap_limit_fd, "-1", 2, 0) == 2 && pwrite(cell->memory_limit_fd, "-1", 2, 0) == 2)
		cell->memory_limit_bytes = UINT64_MAX;
	errno = error;
}

int
cgroup_limit(struct cgroup_cell *cell, uint64_t memory_bytes, uint64_t tasks)
{
	if (memory_bytes != cell->memory_limit_bytes) {
		/* Version 1 keeps memory <= memory+swap at all times: the one that makes room goes first. */
		bool lower = memory_bytes < cell->memory_limit_bytes;
		int order[2] = { lower ? cell->memory_limit_fd : cell->swap_limit_fd,
			lower ? cell->swap_limit_fd : cell->memory_limit_fd };

		/* Version 1 refuses (EBUSY) what is less than is in use; version 2 kills for it. */
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
	/* The peak of an earlier run must not show as this one's. Version 2 cannot set it back before Linux 6.12. */
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
	return tree->version == 1 ? read_number(cell->cpu_usage_fd, NULL) / 1000u :
	    read_number(cell->cpu_usage_fd, "usage_usec");
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

void
cgroup_remove(const struct cgroup_tree *tree)
{
	if (tree->version == 2)
		move_to(tree->home);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		DIR *dir = tree->path[c][0] == '\0' ? NULL : opendir(tree->path[c]);
		struct dirent *entry;

		while (dir != NULL && (entry = readdir(dir)) != NULL) {
			if (strncmp(entry->d_name, "cell-", 5) == 0 || strcmp(entry->d_name, RUNNER_LEAF) == 0)
				unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
		}
		if (dir != NULL)
			closedir(dir);
		if (tree->path[c][0] != '\0')
			rmdir(tree->path[c]);
	}
}

static const char *cleaned; /* nftw(3) takes no context */

static int
clean_directory(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	const char *at = strstr(path, cleaned);
	char end = at == NULL ? 'x' : at[strlen(cleaned)];

	(void)st;
	(void)walk;
	if (type == FTW_DP && at != NULL && at > path && at[-1] == '/' && (end == '\0' || end == '/'))
		rmdir(path);
	return 0;
}

void
cgroup_clean(const char *name)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[PATH_MAX + 512], where[PATH_MAX], type[64];

	cleaned = name;
	while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL) {
		if (sscanf(line, "%*s %4095s %63s", where, type) == 2 && strncmp(type, "cgroup", 6) == 0)
			nftw(where, clean_directory, 16, FTW_PHYS | FTW_DEPTH);
	}
	if (mounts != NULL)
		fclose(mounts);
}
