/*
 * main.c - cellblock-runner: its start, from what it is on the host to what it is afterwards.
 *
 *     started as root, or as an ordinary user
 *       reads the configuration, compiles the policies, asks the interpreters, clones the mounts, makes the control
 *       groups and the socket
 *       |-- door    stays on the host: its own uid, no capability; accepts workers (door.c)
 *       `-- broker  pid 1 of its namespaces, root of a user namespace that owns nothing on the host (broker.c)
 *             |-- warden, per language: makes cells (warden.c)
 *             |-- zygotes, per language: warm interpreters that fork guests (python3/)
 *             `-- guests, each in its cell, below the wardens' inits
 *
 * At level chroot there is a third, the guard (chroot_dir.h), and the broker is root of the container, with few capabilities.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "autoconfig.h"
#include "broker/broker.h"
#include "start/chroot_dir.h"
#include "config.h"
#include "check/check_host.h"
#include "door/door.h"
#include "check/policy_dump.h"
#include "fdpass.h"
#include "kernel/fork_into.h"
#include "start/host.h"
#include "start/idmap.h"
#include "landlock.h"
#include "log.h"
#include "kernel/pidfd_ns.h"
#include "kernel/netns.h"
#include "policy.h"
#include "broker/selftest.h"
#include "start/language_prepare.h"

#define ERROR_SIZE 512

struct options {
	const char *config_path;
	bool check_config;
	bool check_host;
	bool clean;
	const char *explained; /* a policy's name */
};

static void
usage(FILE *to)
{
	fputs("usage: cellblock-runner [-c FILE] [--check-config | --check-host | --explain-policy NAME | --clean]\n"
	      "  -c, --config FILE  the configuration (default " SYSCONFDIR "/cellblock/cellblock.conf)\n"
	      "  --check-config     say whether the configuration is good, and end\n"
	      "  --check-host       say what this host offers, layer by layer, and end\n"
	      "  --explain-policy NAME  print what becomes of each system call under a policy, and why, and end\n"
	      "  --clean            remove what a runner with this configuration left on the host, and end\n"
	      "  -V, --version      print the version, and end\n"
	      "  -h, --help         print this, and end\n",
	    to);
}

static struct options
parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "check-host", no_argument, NULL, 'H' },
		{ "explain-policy", required_argument, NULL, 'E' },
		{ "clean", no_argument, NULL, 'R' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { .config_path = SYSCONFDIR "/cellblock/cellblock.conf" };
	int option;

	while ((option = getopt_long(argc, argv, "c:Vh", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			options.config_path = optarg;
			break;
		case 'C':
			options.check_config = true;
			break;
		case 'H':
			options.check_host = true;
			break;
		case 'E':
			options.explained = optarg;
			break;
		case 'R':
			options.clean = true;
			break;
		case 'V':
			puts(PACKAGE_STRING);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc) {
		usage(stderr);
		exit(2);
	}
	return options;
}

/* The name of what we make on the host: two runners there have two sockets, and so two names. */
static void
make_name(const struct config *config, char *name, size_t size)
{
	uint32_t hash = 2166136261u;

	for (const char *c = config->socket_path; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	snprintf(name, size, "cellblock-%08x", hash);
}

static int
check_config(const struct config *config)
{
	static const char *const own[] = { "worker", "relay" };
	char error[ERROR_SIZE];

	for (size_t i = 0; i < config->language_count + sizeof own / sizeof own[0]; i++) {
		const char *name = i < config->language_count ? config->language[i]->policy : own[i - config->language_count];
		struct policy *policy = policy_load(config->policy_dir, name, error, sizeof error);

		if (policy == NULL) {
			fprintf(stderr, "%s\n", error);
			return 1;
		}
		policy_free(policy);
	}
	printf("%s: good\n", config->path);
	return 0;
}

static void
open_cgroups(struct broker *broker, uid_t owner)
{
	const struct config *config = broker->config;
	char error[ERROR_SIZE], name[32];

	if (config->cgroup == LAYER_OFF)
		return;
	make_name(config, name, sizeof name);
	if (cgroup_open(&broker->cgroup, config->cgroup_parent, name, owner, error, sizeof error) == 0)
		return;
	if (config->cgroup == LAYER_REQUIRED)
		die("control groups are required and cannot be had: %s. Start as root, name a delegated group with "
		    "isolation.cgroup_parent, or do without by isolation.cgroup = \"off\"", error);
	log_warn("control groups cannot be had, so memory and process limits are rlimits only: %s", error);
	broker->cgroup.version = 0;
}

static void
find_landlock(struct broker *broker)
{
	enum requirement wanted = broker->config->landlock;
	int abi = wanted == LAYER_OFF ? 0 : landlock_abi();

	broker->landlock_abi = abi > 0 ? abi : 0;
	broker->zygote_landlock = abi > 0 && broker->config->level == LEVEL_NAMESPACES && pidfd_ns_supported();
	if (abi > 0 || wanted == LAYER_OFF)
		return;
	if (wanted == LAYER_REQUIRED)
		die("Landlock is required and cannot be had: %s. Boot with landlock in the lsm= list, or do without by "
		    "isolation.landlock = \"off\"", strerror(errno));
	log_warn("Landlock cannot be had: %s", strerror(errno));
}

/* The first one that is not missing, or NULL. */
static struct language *
first_language(const struct broker *broker)
{
	for (size_t i = 0; i < broker->language_count; i++) {
		if (!broker->language[i].is_missing)
			return &broker->language[i];
	}
	return NULL;
}

static size_t
available_languages(const struct broker *broker)
{
	size_t count = 0;

	for (size_t i = 0; i < broker->language_count; i++)
		count += !broker->language[i].is_missing;
	return count;
}

/* What zygotes of all languages must know. */
static struct zygote_setup
common_setup(const struct broker *broker)
{
	return (struct zygote_setup){ .level = broker->config->level, .single_uid = broker->single_uid,
		.landlock_abi = broker->landlock_abi, .zygote_landlock = broker->zygote_landlock };
}

/* What of a language needs the rights of the start. `chroot_fd`: where it gets its trees, at level chroot. */
static int
open_language(const struct broker *broker, struct language *language, bool root, int chroot_fd, char *error, size_t size)
{
	const struct config *config = broker->config;
	const struct zygote_setup common = common_setup(broker);

	if (config->level == LEVEL_CHROOT)
		return language_make_trees_dir(language, chroot_fd, &common, error, size);
	return root ? language_open(language, config, error, size) : 0;
}

/* The languages, as far as the rights of the start are needed. */
static void
prepare_languages(struct broker *broker, bool root, int chroot_fd)
{
	const struct config *config = broker->config;
	char error[ERROR_SIZE];

	broker->language_count = config->language_count;
	broker->language = calloc(config->language_count, sizeof *broker->language);
	if (broker->language == NULL)
		die("out of memory");
	for (size_t i = 0; i < config->language_count; i++) {
		if (language_prepare(&broker->language[i], config, config->language[i],
		    root ? (uid_t)config->first_uid : (uid_t)-1, error, sizeof error) != 0 ||
		    open_language(broker, &broker->language[i], root, chroot_fd, error, sizeof error) != 0)
			die("%s", error);
	}
	if (first_language(broker) == NULL)
		die("no language is available: %s: %s", broker->language[0].config->name, broker->language[0].reason);
}

/* Dies where cells must have uids of their own and cannot. */
static void
find_ids(struct broker *broker, struct idmap *ids)
{
	const struct config *config = broker->config;

	idmap_find(ids, config);
	broker->single_uid = ids->count == 0;
	if (ids->count > 0)
		return;
	if (config->uid_per_cell == LAYER_REQUIRED)
		die("a uid for each cell is required and cannot be had: %s. Start as root, have root give you ids (usermod "
		    "--add-subuids FIRST-LAST --add-subgids FIRST-LAST YOU), or do without by isolation.uid_per_cell = \"off\"",
		    ids->detail);
	log_warn("all cells have the runner's own uid: %s", ids->detail);
}

static const char *const no_namespaces[][2] = {
	{ "user_namespace", "level chroot: the runner stays root of its container, with few capabilities" },
	{ "mount_namespace", "level chroot: see chroot" },
	{ "tmpfs", "level chroot: see disk" },
	{ "pid_namespace", "level chroot: see uid_per_cell" },
	{ "ipc_namespace", "level chroot: ipc is refused by seccomp" },
	{ "uts_namespace", "level chroot: the container's host name shows" },
	{ "network_namespace", "level chroot: sockets are refused by seccomp" },
};

static const char *
network_in_words(enum network mode)
{
	static const char *const words[] = {
		[NETWORK_NONE] = "one for all cells, empty, its loopback down; sockets refused",
		[NETWORK_PROXY] = "one for each cell whose run asked for a network: its loopback, and on it the way to a proxy, "
		                  "TCP alone; for all others one that is empty, sockets refused",
		[NETWORK_HOST] = "NONE for runs that asked for a network: theirs is the host's, TCP alone; for all others one "
		                 "that is empty, sockets refused",
	};

	return words[mode];
}

static void
list_namespaces(struct broker *broker, const struct idmap *ids)
{
	struct layer_list *list = &broker->layers;
	bool has_host = broker->config->network == NETWORK_HOST;

	layers_add(list, "user_namespace", true, true, "root of the runner is uid %u on the host%s", (unsigned)ids->owner,
	    broker->single_uid ? "; one more per cell" : "");
	layers_add(list, "uid_per_cell", broker->config->uid_per_cell == LAYER_REQUIRED, !broker->single_uid, "%s", ids->detail);
	layers_add(list, "mount_namespace", true, true, "per cell; a read-only root of bound host paths, by pivot_root");
	layers_add(list, "tmpfs", true, true, "per cell; /tmp and /box, limited in size and inodes");
	layers_add(list, "pid_namespace", true, true, "per cell, below the runner's own");
	layers_add(list, "ipc_namespace", true, true, "per cell");
	layers_add(list, "uts_namespace", true, true, "per cell");
	layers_add(list, "network_namespace", !has_host, !has_host, "%s", network_in_words(broker->config->network));
}

/* Those that are missing are named all the same: what asks for them finds that they are not in force. */
static void
list_chroot(struct broker *broker, const struct idmap *ids)
{
	struct layer_list *list = &broker->layers;

	for (size_t i = 0; i < sizeof no_namespaces / sizeof no_namespaces[0]; i++)
		layers_add(list, no_namespaces[i][0], false, false, "%s", no_namespaces[i][1]);
	layers_add(list, "chroot", true, true, "per cell; a tree of hard links that belong to root");
	layers_add(list, "uid_per_cell", true, true, "%s; what has it is killed after a run until nothing is left", ids->detail);
	layers_add(list, "disk", true, true, "no file larger than disk_bytes; all with a name are added up every 50 ms");
}

static void
list_layers(struct broker *broker, const struct idmap *ids)
{
	struct layer_list *list = &broker->layers;
	static const char *const versions[] = { "none: memory and processes are limited by rlimits",
		"version 1: memory, pids, cpu", "version 2: memory, pids, cpu" };

	if (broker->config->level == LEVEL_CHROOT)
		list_chroot(broker, ids);
	else
		list_namespaces(broker, ids);
	layers_add(list, "cgroup", broker->config->cgroup == LAYER_REQUIRED, broker->cgroup.version != 0,
	    "%s", versions[broker->cgroup.version]);
	layers_add(list, "rlimits", true, true, "per cell");
	layers_add(list, "capabilities", true, true, "none; bounding set empty");
	layers_add(list, "no_new_privs", true, true, "set");
	layers_add(list, "descriptors", true, true, "stdio alone, and what an interpreter has opened for itself");
	layers_add(list, "seccomp", true, true, "allow-list per language, loaded last");
	layers_add(list, "landlock", broker->config->landlock == LAYER_REQUIRED, broker->landlock_abi != 0, "ABI %d: %s; %s",
	    broker->landlock_abi, landlock_offers(broker->landlock_abi),
	    broker->zygote_landlock ? "around zygotes, too" : "not around zygotes");
	layers_add(list, "deadlines", true, true, "wall-clock and CPU time");
}

/* Put the languages' roots together. To be root of the new user namespace is needed for that. */
static void
build_roots(struct broker *broker, bool root, int proc_fd, const struct selftest_host *host)
{
	const struct config *config = broker->config;
	const struct zygote_setup common = common_setup(broker);
	char error[ERROR_SIZE];
	int home_fd;

	if (sethostname("cellblock", strlen("cellblock")) != 0)
		die("set the cells' host name: %s", strerror(errno));
	home_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (config->network == NETWORK_HOST && (broker->no_network_fd = netns_make_empty(proc_fd)) < 0)
		die("make a network namespace for those who shall not have the host's: %s", strerror(errno));
	if (home_fd < 0)
		die("open our mount namespace: %s (is /proc mounted?)", strerror(errno));
	selftest_look_at_self(broker, host, proc_fd);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		die("make all mounts private: %s", strerror(errno));
	for (size_t i = 0; i < broker->language_count; i++) {
		struct language *language = &broker->language[i];

		if ((!root && language_open(language, config, error, sizeof error) != 0) ||
		    language_build(language, proc_fd, &common, error, sizeof error) != 0)
			die("%s: %s", language->config->name, error);
		if (setns(home_fd, CLONE_NEWNS) != 0)
			die("return to our mount namespace: %s", strerror(errno));
	}
	close(home_fd);
}

static void
make_cells(struct broker *broker)
{
	const struct config *config = broker->config;
	char error[ERROR_SIZE];

	broker->cell = calloc(config->cells, sizeof *broker->cell);
	if (broker->cell == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < config->cells; i++) {
		struct cell *cell = &broker->cell[i];

		*cell = (struct cell){ .number = i, .control = { .fd = -1 }, .init = { .fd = -1 }, .init_fd = -1, .box_fd = -1,
			.link_fd = -1,
			.check_us = UINT64_MAX };
		if (broker->cgroup.version == 0)
			cell->cgroup = cgroup_no_cell;
		else if (cgroup_make_cell(&broker->cgroup, i, config->cpu_percent, config->network != NETWORK_NONE,
		    &cell->cgroup, error, sizeof error) != 0)
			die("%s", error);
	}
}

/* The rest of the start, in the new namespaces, if there are any; then serve. */
static void
broker_main(struct broker *broker, int door_fd, bool root, int chroot_fd, const struct selftest_host *host)
{
	const struct config *config = broker->config;
	struct rlimit files;

	if (config->level == LEVEL_CHROOT)
		host_become_container_root();
	else
		host_become_namespace_root(broker->single_uid);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		die("set the parent-death signal: %s", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	broker->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	broker->host_fd = config->level == LEVEL_CHROOT ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (broker->proc_fd < 0 || (config->level == LEVEL_CHROOT && broker->host_fd < 0))
		die("open /proc: %s (is it mounted?)", strerror(errno));
	if (config->level == LEVEL_NAMESPACES)
		build_roots(broker, root, broker->proc_fd, host);
	make_cells(broker);
	/* From here on the host's files are out of sight. */
	if (config->level == LEVEL_CHROOT ? fchdir(chroot_fd) != 0 || chroot(".") != 0 :
	    setns(first_language(broker)->cell_mount_fd, CLONE_NEWNS) != 0 || chdir("/") != 0)
		die("leave the host's files: %s", strerror(errno));
	fdpass_close(&chroot_fd, 1);
	if (config->level == LEVEL_NAMESPACES)
		fdpass_close(&broker->proc_fd, 1);
	for (size_t i = 0; config->level == LEVEL_NAMESPACES && i < broker->language_count; i++)
		rootfs_free(&broker->language[i].fs);
	broker->compiled.most_bytes = config->compiled_bytes;
	log_info("level %s: serving %zu language(s) with up to %u cells", proto_level_name(config->level), available_languages(broker),
	    config->cells);
	exit(broker_serve(broker, door_fd));
}

/* Guests may have so many files open only if we may: root can still raise its limit here. */
static void
allow_open_files(const struct config *config)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max >= config->open_files)
		return;
	files = (struct rlimit){ config->open_files, config->open_files };
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		die("%s: isolation.open_files: %u is more than the runner itself may have open; allowed: less, or start it with a "
		    "higher limit", config->path, config->open_files);
}

/* Can what is configured be had? What is asked for, and no less, is what there will be. */
static void
check_level(const struct config *config)
{
	if (config->level == LEVEL_CHROOT && geteuid() != 0)
		die("%s: isolation.level: \"chroot\" needs a start as root, with the capabilities that a container has",
		    config->path);
	if (config->level == LEVEL_NAMESPACES && !host_has_user_namespaces())
		die("a user namespace cannot be made: %s. Allow them (cellblock-runner --check-host says how), or ask for less by "
		    "isolation.level = \"chroot\": SECURITY.md says what that does not promise", strerror(errno));
	if (config->level == LEVEL_CHROOT && config->network != NETWORK_NONE)
		die("%s: network.mode: at level \"chroot\" there is \"none\" only, since cells have no network of their own",
		    config->path);
}

/* Level chroot: where the trees are, and who removes them in the end. */
static int
open_chroot_dir(const struct config *config, int *alive_fd)
{
	char name[32];
	int fd;

	make_name(config, name, sizeof name);
	fd = chroot_dir_open(config, name);
	chroot_dir_guard(config, name, fd, alive_fd);
	return fd;
}

static int
serve(struct config *config)
{
	struct broker broker = { .config = config, .epoll_fd = -1, .children = { .fd = -1 }, .door = { .fd = -1 },
		.relay = { .fd = -1 }, .no_network_fd = -1 };
	bool root = geteuid() == 0;
	struct idmap ids;
	struct selftest_host host;
	char error[ERROR_SIZE];
	uid_t worker_uid;
	gid_t worker_gid;
	int listen_fd, pair[2], mapped[2], chroot_fd = -1, alive_fd = -1;
	bool is_chroot = config->level == LEVEL_CHROOT;
	pid_t pid;
	struct relay_supervisor *relay;
	uint64_t namespaces = host_broker_namespaces;
	char byte;

	signal(SIGPIPE, SIG_IGN);
	check_level(config);
	allow_open_files(config);
	find_ids(&broker, &ids);
	worker_uid = door_worker_uid(config, &worker_gid);
	if (config->network == NETWORK_HOST) {
		/* Nobody may go back to the host's whose power ends in a namespace: what is to be in it stays in it. */
		namespaces &= ~(uint64_t)CLONE_NEWNET;
		log_warn("network.mode is \"host\": a run that asks for a network reaches all that this host reaches, its own "
		    "services included");
	}
	find_landlock(&broker);
	if (is_chroot)
		chroot_fd = open_chroot_dir(config, &alive_fd);
	prepare_languages(&broker, root, chroot_fd);
	open_cgroups(&broker, is_chroot ? 0 : ids.owner);
	relay = relay_supervisor_prepare(config, broker.landlock_abi);
	list_layers(&broker, &ids);
	selftest_look_at_host(&host);
	door_block_signals();
	listen_fd = door_listen(config);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 || pipe2(mapped, O_CLOEXEC) != 0)
		die("make the channels between our processes: %s", strerror(errno));
	pid = is_chroot ? fork() : fork_into(namespaces);
	if (pid < 0)
		die("make the broker: %s (cellblock-runner --check-host says what this host offers)", strerror(errno));
	if (pid == 0) {
		close(pair[0]);
		close(listen_fd);
		close(mapped[1]);
		/* Until we are mapped we are nobody and can do nothing. */
		if (read(mapped[0], &byte, 1) != 1)
			exit(1);
		close(mapped[0]);
		broker_main(&broker, pair[1], root, chroot_fd, &host); /* alive_fd stays open as long as it lives */
	}
	fdpass_close(&alive_fd, 1);
	fdpass_close(&chroot_fd, 1);
	close(pair[1]);
	close(mapped[0]);
	if (!is_chroot && idmap_map(&ids, pid, error, sizeof error) != 0)
		die("%s", error);
	host_drop_privileges(ids.owner);
	if (write(mapped[1], "", 1) != 1)
		die("wake the broker: %s", strerror(errno));
	close(mapped[1]);
	for (size_t i = 0; i < broker.language_count; i++)
		language_free(&broker.language[i]);
	free(broker.language);
	return door_serve(config, listen_fd, pair[0], pid, worker_uid, broker.landlock_abi, relay);
}

static int
clean(const struct config *config)
{
	char name[32];

	make_name(config, name, sizeof name);
	cgroup_clean(name);
	unlink(config->socket_path);
	return config->level == LEVEL_CHROOT && chroot_dir_clean(config, name) != 0;
}

int
main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	char error[ERROR_SIZE];
	struct config *config;
	int status;

	log_open("cellblock-runner");
	/* Whoever started us may have left more open than he knows. */
	syscall(SYS_close_range, 3u, ~0u, 0u);
	config = config_load(options.config_path, error, sizeof error);
	if (config == NULL) {
		if (options.check_config)
			fprintf(stderr, "%s\n", error);
		else
			log_warn("%s", error);
		return 1;
	}
	if (geteuid() == 0 && !options.check_config && options.explained == NULL)
		host_leave_chroot();
	if (options.explained != NULL)
		status = policy_dump(config->policy_dir, options.explained);
	else if (options.check_config)
		status = check_config(config);
	else if (options.check_host)
		status = check_host(config);
	else if (options.clean)
		status = clean(config);
	else
		status = serve(config);
	config_free(config);
	return status;
}
