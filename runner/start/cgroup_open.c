/*
 * cgroup_open.c - see cgroup_open.h. Runs with the rights of the start; cgroup_open_cell as root of
 * the user namespace.
 */
#define _GNU_SOURCE
#include "start/cgroup_open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fdpass.h"
#include "start/cgroup_find.h"

#define SOCKET_BYTES "16777216" /* of a cell's socket buffers, where they do not count as its memory */
#define CPU_PERIOD_US 100000u
#define LEFT_POLL_NS 10000000 /* between two looks at a group that an earlier runner left */
#define LEFT_POLLS 500
#define RUNNER_LEAF "runner" /* version 2: the group of all our processes that are in no cell */
#define SUBTREE_CONTROL "cgroup.subtree_control"

#define WANTED_CONTROLLERS "+memory +pids +cpu"

static const char *const controller_names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
	[CGROUP_CPUACCT] = "cpuacct",
};

/* Write a small file. Returns 0, or -1 with errno. */
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

/* ---- our groups ------------------------------------------------------------------------------- */

/*
 * Make the directory `path`, and give it to `owner`. Returns its descriptor, or -1 with a text in
 * `error`.
 */
static int
make_directory(const char *path, uid_t owner, char *error, size_t size)
{
	/*
	 * A process that moves others between groups needs to write these; see cgroups(7),
	 * "delegation".
	 */
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

/* Move this process into the group `path`. Returns 0, or -1 with errno. */
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
 * Find the needed controllers that are not enabled yet for the children of `base_fd`. `text` gets
 * the text that disables them again.
 */
static void
find_disabled(int base_fd, char *text, size_t size)
{
	static const char *const wanted[] = { "memory", "pids", "cpu" };
	int fd = openat(base_fd, SUBTREE_CONTROL, O_RDONLY | O_CLOEXEC);
	char enabled[512];
	ssize_t n = fd < 0 ? -1 : read(fd, enabled, sizeof enabled - 1);
	size_t at = 0;

	fdpass_close(&fd, 1);
	enabled[n > 0 ? n : 0] = '\0';
	text[0] = '\0';
	for (size_t i = 0; n >= 0 && i < sizeof wanted / sizeof wanted[0]; i++) {
		if (!cgroup_find_word(enabled, wanted[i], ' '))
			at += (size_t)snprintf(text + at, size - at, "%s-%s", at > 0 ? " " : "", wanted[i]);
	}
}

/*
 * Enable our controllers for the children of `base`. Remembers the change in tree->disable. Returns
 * 0, or -1 with a text.
 */
static int
enable_controllers(struct cgroup_tree *tree, const char *base, char *error, size_t size)
{
	int base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char disable[sizeof tree->disable] = "";

	if (base_fd >= 0)
		find_disabled(base_fd, disable, sizeof disable);
	if (base_fd < 0 || write_file(base_fd, SUBTREE_CONTROL, WANTED_CONTROLLERS) != 0) {
		snprintf(error, size, "enable memory, pids and cpu in %s/" SUBTREE_CONTROL ": %s%s", base, strerror(errno),
		    errno == EBUSY ? " (it has processes of its own: name another isolation.cgroup_parent)" : "");
		fdpass_close(&base_fd, 1);
		return -1;
	}
	close(base_fd);
	memcpy(tree->disable, disable, sizeof disable);
	return 0;
}

/*
 * A guest can be born in a group only from a group below a common ancestor that is ours. So the
 * runner goes into a leaf beside its cells. It does so before it enables controllers: if it was
 * alone in `base` (systemd's Delegate=yes), `base` can have controllers only then.
 */
static int
open_version_2(struct cgroup_tree *tree, const char *base, const char *name, uid_t owner, char *error, size_t size)
{
	char leaf[sizeof tree->path[0] + sizeof RUNNER_LEAF];
	char *path = tree->path[0];
	int fd, leaf_fd;

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
	if (enable_controllers(tree, base, error, size) != 0)
		goto failed;
	if (write_file(fd, SUBTREE_CONTROL, WANTED_CONTROLLERS) != 0) {
		snprintf(error, size, "enable controllers in %s: %s", path, strerror(errno));
		goto failed;
	}
	for (int c = 1; c < CGROUP_CONTROLLERS; c++) {
		tree->root_fd[c] = fd;
		memcpy(tree->path[c], path, sizeof tree->path[0]);
	}
	return 0;
failed:
	cgroup_open_undo(tree);
	return -1;
}

/*
 * Make our directory in the hierarchy of controller `c`. Returns 0, or -1 with a text in `error`.
 */
static int
open_hierarchy(struct cgroup_tree *tree, int c, const char *name, uid_t owner, char *error, size_t size)
{
	char mount[PATH_MAX], own[PATH_MAX], path[sizeof tree->path[0]];

	cgroup_find_mount(controller_names[c], mount, sizeof mount);
	if (mount[0] == '\0') {
		snprintf(error, size, "no mounted control group hierarchy has the controller \"%s\"", controller_names[c]);
		return -1;
	}
	cgroup_find_own(controller_names[c], own, sizeof own);
	if (snprintf(path, sizeof path, "%s%s/%s", mount, strcmp(own, "/") == 0 ? "" : own, name) >= (int)sizeof path) {
		snprintf(error, size, "the path of our control group in %s is too long", mount);
		return -1;
	}
	for (int earlier = 0; earlier < c; earlier++) {
		if (strcmp(tree->path[earlier], path) == 0)
			tree->root_fd[c] = tree->root_fd[earlier];
	}
	if (tree->root_fd[c] < 0 && (tree->root_fd[c] = make_directory(path, owner, error, size)) < 0)
		return -1;
	memcpy(tree->path[c], path, sizeof path);
	return 0;
}

static int
open_version_1(struct cgroup_tree *tree, const char *name, uid_t owner, char *error, size_t size)
{
	tree->version = 1;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (open_hierarchy(tree, c, name, owner, error, size) != 0) {
			cgroup_open_undo(tree);
			return -1;
		}
	}
	return 0;
}

bool
cgroup_open_is_version_2(const char *parent)
{
	char mount[PATH_MAX];

	cgroup_find_mount(NULL, mount, sizeof mount);
	return parent != NULL || cgroup_find_is_version_2(mount);
}

int
cgroup_open(struct cgroup_tree *tree, const char *parent, const char *name, uid_t owner, char *error, size_t size)
{
	char mount[PATH_MAX], own[PATH_MAX], base[PATH_MAX];

	*tree = (struct cgroup_tree){ .version = 0, .renew_fd = -1 };
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		tree->root_fd[c] = -1;
	cgroup_find_mount(NULL, mount, sizeof mount);
	cgroup_find_own(NULL, own, sizeof own);
	/*
	 * A path that is too long only means that cgroup_open_undo cannot move this process back.
	 */
	if (snprintf(tree->home, sizeof tree->home, "%s%s", mount, own) >= (int)sizeof tree->home)
		tree->home[0] = '\0';
	if (parent != NULL)
		return open_version_2(tree, parent, name, owner, error, size);
	if (!cgroup_find_is_version_2(mount))
		return open_version_1(tree, name, owner, error, size);
	/*
	 * A group with processes cannot have children with controllers. A group above our own may
	 * have none.
	 */
	for (char *end = own + (own[1] == '\0' ? 0 : strlen(own)); end != NULL; end = strrchr(own, '/')) {
		*end = '\0';
		if (snprintf(base, sizeof base, "%s%s", mount, own) < (int)sizeof base &&
		    open_version_2(tree, base, name, owner, error, size) == 0)
			return 0;
	}
	return -1;
}

/*
 * Close the descriptors of an array with one for each controller, where some are the same number.
 * Sets all to -1.
 */
static void
close_each_once(int fds[CGROUP_CONTROLLERS])
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		int fd = fds[c];

		for (int same = c; same < CGROUP_CONTROLLERS; same++)
			fds[same] = fds[same] == fd ? -1 : fds[same];
		fdpass_close(&fd, 1);
	}
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* A file of a cell's group that stays open. */
struct cell_file {
	enum cgroup_controller controller;
	const char *name;
	int flags;
	bool must;
	size_t offset; /* of the descriptor in struct cgroup_cell */
};

#define CELL_FILE(controller, name, flags, must, member) \
	{ \
		controller, name, flags, must, offsetof(struct cgroup_cell, member) \
	}

static const struct cell_file version_1_files[] = {
	CELL_FILE(CGROUP_MEMORY, "memory.limit_in_bytes", O_WRONLY, true, memory_limit_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.memsw.limit_in_bytes", O_WRONLY, false, swap_limit_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.usage_in_bytes", O_RDONLY, true, memory_now_fd),
	CELL_FILE(CGROUP_MEMORY, "memory.kmem.usage_in_bytes", O_RDONLY, false, kernel_now_fd),
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
	CELL_FILE(CGROUP_MEMORY, "memory.stat", O_RDONLY, false, kernel_now_fd),
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

/*
 * Open the files of a list. A second row for the same descriptor is tried if the first cannot be
 * opened.
 */
static int
open_files(const struct cell_file *files, size_t count, const int *dir_fds, struct cgroup_cell *cell, char *error, size_t size)
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
 * Make a cell's group anew. A runner that was killed leaves its groups behind, with limits that may
 * keep the next one from setting its own, and for a moment with processes. So the old group is
 * removed first. Returns 0, or -1 with errno (EBUSY: there still are processes in it).
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
cgroup_open_cell(const struct cgroup_tree *tree, unsigned number, unsigned cpu_percent, bool has_sockets,
    struct cgroup_cell *cell, char *error, size_t size)
{
	int dir_fd[CGROUP_CONTROLLERS];
	char name[CGROUP_NAME_SIZE];
	int result = -1;

	*cell = cgroup_no_cell;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		dir_fd[c] = -1;
	cgroup_name(number, false, name);
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
		if (c == CGROUP_PIDS)
			cell->pids_join = cell->joins;
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
	/*
	 * With swap a program over its memory limit gets slow instead of being killed. A kernel
	 * without swap has no such file.
	 */
	if (result == 0 && tree->version == 2 && write_file(dir_fd[CGROUP_MEMORY], "memory.swap.max", "0") != 0 &&
	    errno != ENOENT) {
		snprintf(error, size, "forbid %s/%s to swap: %s", tree->path[CGROUP_MEMORY], name, strerror(errno));
		result = -1;
	}
out:
	close_each_once(dir_fd);
	return result;
}

void
cgroup_open_keep(struct cgroup_tree *tree)
{
	/* A group that other controllers share has more to it than a number of processes. */
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (c != CGROUP_PIDS && tree->root_fd[c] == tree->root_fd[CGROUP_PIDS])
			return;
	}
	tree->renew_fd = fcntl(tree->root_fd[CGROUP_PIDS], F_DUPFD_CLOEXEC, 0);
}

void
cgroup_open_close(struct cgroup_tree *tree)
{
	close_each_once(tree->root_fd);
}

/* Disable again what enable_controllers has enabled in the group above ours. */
static void
disable_controllers(const struct cgroup_tree *tree)
{
	char base[sizeof tree->path[0]];
	int base_fd;

	if (tree->disable[0] == '\0')
		return;
	snprintf(base, sizeof base, "%.*s", (int)(strrchr(tree->path[0], '/') - tree->path[0]), tree->path[0]);
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base_fd >= 0)
		write_file(base_fd, SUBTREE_CONTROL, tree->disable);
	fdpass_close(&base_fd, 1);
}

/* Remove the groups below ours in one hierarchy, and for `is_leaf` the runner's leaf alone. */
static void
remove_below(const char *path, bool is_leaf)
{
	DIR *dir = path[0] == '\0' ? NULL : opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (is_leaf ? strcmp(entry->d_name, RUNNER_LEAF) == 0 : strncmp(entry->d_name, "cell-", 5) == 0)
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	}
	if (dir != NULL)
		closedir(dir);
}

void
cgroup_open_undo(struct cgroup_tree *tree)
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		remove_below(tree->path[c], false);
	if (tree->version == 2) {
		/*
		 * A group with controllers takes no process: they go before this process returns to
		 * the group above.
		 */
		if (tree->root_fd[0] >= 0)
			write_file(tree->root_fd[0], SUBTREE_CONTROL, "-memory -pids -cpu");
		disable_controllers(tree);
		move_to(tree->home);
		remove_below(tree->path[0], true);
	}
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (tree->path[c][0] != '\0')
			rmdir(tree->path[c]);
	}
	close_each_once(tree->root_fd);
	tree->version = 0;
	tree->disable[0] = '\0';
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		tree->path[c][0] = '\0';
}

/* nftw(3) takes no context. */
static const char *cleaned;
static unsigned busy; /* groups whose last process is still coming to its end */

static int
clean_directory(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	const char *at = strstr(path, cleaned);
	char end = at == NULL ? 'x' : at[strlen(cleaned)];

	(void)st;
	(void)walk;
	if (type == FTW_DP && at != NULL && at > path && at[-1] == '/' && (end == '\0' || end == '/') && rmdir(path) != 0)
		busy += errno == EBUSY;
	return 0;
}

void
cgroup_open_clean(const char *name)
{
	const struct timespec pause = { .tv_nsec = LEFT_POLL_NS };
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[PATH_MAX + 512], where[PATH_MAX], type[64];
	unsigned polls = 0;

	cleaned = name;
	while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL) {
		if (sscanf(line, "%*s %4095s %63s", where, type) != 2 || strncmp(type, "cgroup", 6) != 0)
			continue;
		/*
		 * A process that was killed is in its group until the kernel is through with it.
		 * And the walk ends early when a group of somebody else vanishes under it.
		 */
		for (busy = 0; (nftw(where, clean_directory, 16, FTW_PHYS | FTW_DEPTH) != 0 || busy > 0) && polls < LEFT_POLLS;
		     busy = 0, polls++)
			nanosleep(&pause, NULL);
	}
	if (mounts != NULL)
		fclose(mounts);
}
