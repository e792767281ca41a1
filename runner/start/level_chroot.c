/* level_chroot.c - the start at level chroot; see level.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/handed_socket.h"
#include "fdpass.h"
#include "log.h"
#include "start/chroot_dir.h"
#include "start/host.h"
#include "start/language_prepare.h"
#include "start/level.h"
#include "start/uid_lock.h"

static void
describe_uids(const struct start *start, char *text, size_t size)
{
	snprintf(text, size, "%s; after a run every process that has it is killed", start->ids.detail);
}

static bool
has_proxy(const struct start *start)
{
	return start->config->network == NETWORK_PROXY;
}

static void
describe_network(const struct start *start, char *text, size_t size)
{
	snprintf(text, size, "level chroot: %s",
	    has_proxy(start) ? "see handed_sockets" : "sockets of the internet are denied by seccomp");
}

static void
describe_handed_sockets(const struct start *start, char *text, size_t size)
{
	snprintf(text, size, "%s",
	    has_proxy(start) ? "a run that asked for a network has TCP sockets that are connected to its proxy from the start, "
	                       "and seccomp keeps them so" :
	                       "none: no network is configured");
}

/*
 * Layers that are missing have a row too: a look-up by name finds that they are not in
 * force.
 */
static const struct wall walls[] = {
	{ "user_namespace", wall_never, wall_never, "level chroot: the runner stays root of its container, with few capabilities",
	    NULL },
	{ "mount_namespace", wall_never, wall_never, "level chroot: see chroot", NULL },
	{ "tmpfs", wall_never, wall_never, "level chroot: see disk", NULL },
	{ "pid_namespace", wall_never, wall_never, "level chroot: see uid_per_cell", NULL },
	{ "proc", wall_never, wall_never, "level chroot: none", NULL },
	{ "ipc_namespace", wall_never, wall_never, "level chroot: ipc is denied by seccomp", NULL },
	{ "uts_namespace", wall_never, wall_never, "level chroot: the container's host name shows", NULL },
	{ "network_namespace", wall_never, wall_never, NULL, describe_network },
	{ "handed_sockets", has_proxy, has_proxy, NULL, describe_handed_sockets },
	{ "chroot", NULL, NULL, "per cell; a tree of hard links that belong to root", NULL },
	{ "uid_per_cell", NULL, NULL, NULL, describe_uids },
	{ "disk", NULL, NULL, "no file larger than disk_bytes; all files with a name are added up every 50 ms", NULL },
};

static void
check(const struct config *config)
{
	if (geteuid() != 0)
		die("%s: isolation.level: \"chroot\" needs a start as root, with the capabilities that a container has",
		    config->path);
	if (config->network == NETWORK_HOST)
		die("%s: network.mode: at level \"chroot\" there are \"none\" and \"proxy\" only, since cells have no network of "
		    "their own",
		    config->path);
}

static bool
has_zygote_landlock(void)
{
	return false; /* a zygote has to enter its cells' trees */
}

static void
prepare(struct start *start)
{
	char name[HOST_NAME_SIZE];

	start->broker_uid = 0;
	host_instance_name(start->config->socket_path, start->generation->slot, name);
	start->chroot_fd = chroot_dir_open(start->config, name);
	chroot_dir_guard(start->config, name, start->chroot_fd, start->uids_fd, &start->guard_fd);
}

static int
open_root(struct start *start, struct language *language, char *error, size_t size)
{
	const struct zygote_setup common = level_common_setup(&start->broker);

	return language_prepare_trees(language, start->chroot_fd, &common, error, size);
}

static pid_t
fork_broker(const struct start *start)
{
	(void)start;
	return fork();
}

static int
map_ids(const struct start *start, pid_t broker, char *error, size_t size)
{
	(void)start;
	(void)broker;
	(void)error;
	(void)size;
	return 0; /* the ids are the container's */
}

static void
become_root(const struct start *start)
{
	(void)start;
	host_become_container_root();
}

/*
 * Wardens make the trees, when a language is first used. For that they need the container's files.
 */
static void
build_roots(struct start *start)
{
	struct broker *broker = &start->broker;

	broker->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	broker->host_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (broker->proc_fd < 0 || broker->host_fd < 0)
		die("open /proc: %s (is it mounted?)", strerror(errno));
	broker->tasks_fd = broker->proc_fd;
	if (start->config->network == NETWORK_PROXY && (broker->handed_fd = handed_socket_listen()) < 0)
		die("listen on 127.0.0.1 for the sockets of programs: %s", strerror(errno));
}

static void
leave_host(struct start *start)
{
	if (fchdir(start->chroot_fd) != 0 || chroot(".") != 0)
		die("leave the host's files: %s", strerror(errno));
	fdpass_close(&start->chroot_fd, 1);
}

/* Processes are killed by their uid, so no other runner may have these uids. */
static int
clean(const struct config *config, const char *name)
{
	char error[256];
	int result,
	    uids_fd = uid_lock_take(UID_LOCK_FILE, config->first_uid, 1 + level_chroot.uids_per_cell * config->cells,
	        level_chroot.uids_wait_ms, error, sizeof error);

	if (uids_fd == -1) {
		log_warn("%s; nothing was removed", error);
		return -1;
	}
	result = chroot_dir_clean(config, name);
	fdpass_close(&uids_fd, uids_fd >= 0);
	return result;
}

const struct start_level level_chroot = {
	.isolation = &isolation_chroot,
	.walls = walls,
	.wall_count = sizeof walls / sizeof walls[0],
	.uids_per_cell = 2, /* a cell's and its reaper's */
	.uids_wait_ms = 15000,
	.check = check,
	.has_zygote_landlock = has_zygote_landlock,
	.prepare = prepare,
	.open_root = open_root,
	.fork_broker = fork_broker,
	.map_ids = map_ids,
	.become_root = become_root,
	.build_roots = build_roots,
	.leave_host = leave_host,
	.clean = clean,
};
