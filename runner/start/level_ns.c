/* level_ns.c - the start at level namespaces; see level.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "fdpass.h"
#include "kernel/fork_into.h"
#include "kernel/netns.h"
#include "kernel/pidfd_ns.h"
#include "log.h"
#include "paths.h"
#include "start/cell_proc.h"
#include "start/etc_mount.h"
#include "start/host.h"
#include "start/language_prepare.h"
#include "start/level.h"
#include "start/rootfs.h"
#include "start/tasks_proc.h"

static bool
has_own_network(const struct start *start)
{
	return start->config->network != NETWORK_HOST;
}

static void
describe_network(const struct start *start, char *text, size_t size)
{
	static const char *const words[] = {
		[NETWORK_NONE] = "one for each cell, empty, its loopback down; sockets of the internet denied",
		[NETWORK_PROXY] = "one for each cell whose run asked for a network: its loopback, and on it the way to a proxy, "
		                  "TCP alone; for all others one for each cell that is empty, sockets of the internet denied",
		[NETWORK_HOST] =
		    "NONE for runs that asked for a network: theirs is the host's, TCP alone; for all others one for "
		    "each cell that is empty, sockets of the internet denied",
	};

	snprintf(text, size, "%s", words[start->config->network]);
}

static bool
has_proc(const struct start *start)
{
	return start->has_proc;
}

static void
describe_proc(const struct start *start, char *text, size_t size)
{
	snprintf(text, size, "%s",
	    start->has_proc ? "per cell; of its own processes alone, read-only" :
	                      "none: a procfs cannot be mounted on this host; programs find an empty /proc");
}

static void
describe_user_namespace(const struct start *start, char *text, size_t size)
{
	snprintf(text, size, "root of the runner is uid %u on the host%s", (unsigned)start->ids.owner,
	    start->broker.single_uid ? "; one more per cell" : "");
}

static const struct wall walls[] = {
	{ "user_namespace", NULL, NULL, NULL, describe_user_namespace },
	{ "uid_per_cell", wall_wants_uid_per_cell, wall_has_uid_per_cell, NULL, wall_describe_ids },
	{ "mount_namespace", NULL, NULL, "per cell; a read-only root of bound host paths, by pivot_root", NULL },
	{ "tmpfs", NULL, NULL, "per cell; /tmp and /box, limited in size and inodes", NULL },
	{ "pid_namespace", NULL, NULL, "per cell, below the runner's own", NULL },
	{ "proc", wall_never, has_proc, NULL, describe_proc },
	{ "ipc_namespace", NULL, NULL, "one for all cells, empty; System V ipc and message queues denied", NULL },
	{ "uts_namespace", NULL, NULL, "per cell", NULL },
	{ "network_namespace", has_own_network, has_own_network, NULL, describe_network },
};

static void
check(const struct config *config)
{
	(void)config;
	if (!host_has_user_namespaces())
		die("a user namespace cannot be made: %s. Allow them (cellblock-runner --check-host says how), or ask for less by "
		    "isolation.level = \"chroot\": SECURITY.md says what that does not promise",
		    strerror(errno));
}

static void
prepare(struct start *start)
{
	start->broker_uid = start->ids.owner;
	start->has_proc = host_has_proc();
	if (!start->has_proc)
		log_warn("cells have no /proc: a procfs cannot be mounted: %s (is a part of /proc covered, as in a container?)",
		    strerror(errno));
	if (start->config->network == NETWORK_HOST)
		log_warn("network.mode is \"host\": a run that asks for a network reaches all that this host reaches, its own "
		         "services included");
}

static int
open_root(struct start *start, struct language *language, char *error, size_t size)
{
	/*
	 * An ordinary user, or root of a container, can clone mounts only as root of the user
	 * namespace: see build_roots.
	 */
	return start->may_mount ? language_prepare_clones(language, start->config, error, size) : 0;
}

static pid_t
fork_broker(const struct start *start)
{
	uint64_t namespaces = host_broker_namespaces;

	/*
	 * A process whose power ends in a user namespace cannot go back to the host's network, so
	 * it has to stay there.
	 */
	if (start->config->network == NETWORK_HOST)
		namespaces &= ~(uint64_t)CLONE_NEWNET;
	return fork_into(namespaces);
}

static int
map_ids(const struct start *start, pid_t broker, char *error, size_t size)
{
	return idmap_map(&start->ids, broker, error, size);
}

static void
become_root(const struct start *start)
{
	host_become_namespace_root(start->broker.single_uid);
}

/* Cover the host's /etc with that of the cells. Dies if it fails. */
static void
make_etc(const struct broker *broker, struct etc_mount *etc)
{
	char error[WALL_TEXT_SIZE * 2];
	int fd = etc_mount_make(broker->config, broker->single_uid, error, sizeof error);

	if (fd < 0)
		die("%s", error);
	for (size_t i = 0; i < broker->language_count; i++) {
		if (etc_mount_add_places(fd, &broker->language[i].fs, error, sizeof error) != 0)
			die("%s: %s", broker->language[i].config->name, error);
	}
	if (etc_mount_cover(fd, etc, error, sizeof error) != 0)
		die("%s", error);
	close(fd);
}

/*
 * A container's seccomp profile may deny this to all who were not given CAP_SYS_ADMIN there. Then
 * cells show the name of that container, in a UTS namespace of their own.
 */
static void
set_host_name(const struct start *start)
{
	if (sethostname(CELL_HOST_NAME, strlen(CELL_HOST_NAME)) == 0)
		return;
	if (errno != EPERM || start->may_mount)
		die("set the cells' host name: %s", strerror(errno));
	log_warn("cells show the host name of this container: set the host name: %s", strerror(errno));
}

/* Only root of the new user namespace may do this. */
static void
build_roots(struct start *start)
{
	struct broker *broker = &start->broker;
	const struct config *config = start->config;
	struct zygote_setup common = level_common_setup(broker);
	char error[WALL_TEXT_SIZE * 2];
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), home_fd;
	struct etc_mount etc;
	struct cell_proc proc = { .processors = cell_proc_processors(broker->cgroup.version != 0 ? config->cpu_percent : 0) };

	if (proc_fd < 0)
		die("open /proc: %s (is it mounted?)", strerror(errno));
	set_host_name(start);
	home_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	/* Not ours: /proc/net lists the sockets of a network namespace, and the runner has some. */
	if ((broker->no_network_fd = netns_make_empty()) < 0)
		die("make a network namespace for zygotes without a network: %s", strerror(errno));
	if (home_fd < 0)
		die("open our mount namespace: %s (is /proc mounted?)", strerror(errno));
	selftest_look_at_self(broker, &start->host, proc_fd);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		die("make all mounts private: %s", strerror(errno));
	if (start->has_proc && (broker->tasks_fd = tasks_proc_make()) < 0)
		die("make a /proc of the cells' processes: %s", strerror(errno));
	if (start->has_proc && cell_proc_make(&proc, proc_fd, config->cells, &broker->proc_files_fd, error, sizeof error) != 0)
		die("prepare the cells' /proc: %s", error);
	if (proc.processors < cell_proc_processors(0))
		broker->processors = proc.processors;
	common.has_proc = start->has_proc;
	/* All clones come first: then the host's /etc is covered. */
	for (size_t i = 0; i < broker->language_count; i++) {
		if (!start->may_mount && language_prepare_clones(&broker->language[i], config, error, sizeof error) != 0)
			die("%s: %s", broker->language[i].config->name, error);
	}
	make_etc(broker, &etc);
	for (size_t i = 0; i < broker->language_count; i++) {
		struct language *language = &broker->language[i];

		if (language_prepare_root(language, proc_fd, &proc, &etc, &common, error, sizeof error) != 0)
			die("%s: %s", language->config->name, error);
		if (setns(home_fd, CLONE_NEWNS) != 0)
			die("return to our mount namespace: %s", strerror(errno));
	}
	/* A host without it, or on which it cannot be written to, makes a new cell for each run. */
	if (config->cell_runs > 1 && !broker->single_uid)
		broker->last_pid_fd = openat(proc_fd, "sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	close(home_fd);
	close(proc_fd);
}

static void
leave_host(struct start *start)
{
	struct broker *broker = &start->broker;

	if (setns(level_first_language(broker)->cell_mount_fd, CLONE_NEWNS) != 0 || chdir("/") != 0)
		die("leave the host's files: %s", strerror(errno));
	for (size_t i = 0; i < broker->language_count; i++)
		rootfs_free(&broker->language[i].fs);
}

static int
clean(const struct config *config, const char *name)
{
	(void)config;
	(void)name;
	return 0; /* the mounts are gone with their namespaces */
}

const struct start_level level_ns = {
	.isolation = &isolation_ns,
	.walls = walls,
	.wall_count = sizeof walls / sizeof walls[0],
	.uids_per_cell = 1,
	.uids_wait_ms = 1000,
	.check = check,
	.has_zygote_landlock = pidfd_ns_supported,
	.prepare = prepare,
	.open_root = open_root,
	.fork_broker = fork_broker,
	.map_ids = map_ids,
	.become_root = become_root,
	.build_roots = build_roots,
	.leave_host = leave_host,
	.clean = clean,
};
