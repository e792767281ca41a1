/* start.c - see start.h. */
#define _GNU_SOURCE
#include "start/start.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/language.h"
#include "broker/serve.h"
#include "capabilities.h"
#include "door/door.h"
#include "door/relay_supervisor.h"
#include "fdpass.h"
#include "kernel/inherit_fds.h"
#include "landlock.h"
#include "log.h"
#include "policy.h"
#include "start/cgroup_open.h"
#include "start/fd_budget.h"
#include "start/host.h"
#include "start/language_prepare.h"
#include "start/level.h"
#include "start/memory_budget.h"
#include "start/parent.h"
#include "start/uid_lock.h"
#include "start/walls.h"
#include "warden/cell_etc.h"

#define ERROR_SIZE 512

/* ---- on the host, with the rights of the start ----------------------------------------------- */

static void
reserve_descriptors(const struct config *config)
{
	char error[ERROR_SIZE * 2];

	if (fd_budget_reserve(config, error, sizeof error) != 0)
		die("%s", error);
}

/* Dies if there are runs that could never start. */
static void
find_memory(struct start *start)
{
	struct broker *broker = &start->broker;
	const struct config *config = start->config;
	uint64_t largest = memory_budget_largest(config);
	char text[ERROR_SIZE * 2];

	if (memory_budget_find(config, &broker->memory_most_bytes, text, sizeof text) != 0)
		die("%s", text);
	log_info("the memory limits of running programs are at most %" PRIu64 " MiB together (%s)",
	    broker->memory_most_bytes >> 20, text);
	if (largest > broker->memory_most_bytes)
		log_warn("a run or a compiler that asks for more memory than that is refused; its limits allow up to %" PRIu64
		         " MiB",
		    largest >> 20);
}

static void
find_time_zone(const struct config *config)
{
	char error[ERROR_SIZE * 2];

	if (cell_etc_check(config, error, sizeof error) != 0)
		die("%s", error);
}

/* A zygote may have no larger stack than the runner. Dies if a run might ask for one. */
static void
reserve_stack(const struct config *config)
{
	struct rlimit stack;
	uint64_t most = 0;

	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];

		if (language->limits.maximum.stack_bytes > most)
			most = language->limits.maximum.stack_bytes;
		if (config_is_compiled(language) && language->compile.limits.stack_bytes > most)
			most = language->compile.limits.stack_bytes;
	}
	if (getrlimit(RLIMIT_STACK, &stack) != 0)
		die("read the limit of the stack: %s", strerror(errno));
	if (stack.rlim_max >= most)
		return;
	stack.rlim_max = most;
	if (setrlimit(RLIMIT_STACK, &stack) == 0)
		return;
	getrlimit(RLIMIT_STACK, &stack);
	die("%s: limits.stack_bytes: the maximum of %" PRIu64 " is more than the runner itself may have (%" PRIu64
	    "); allowed: less, or start it with a higher limit (systemd: LimitSTACK; ulimit -Hs)",
	    config->path, most, (uint64_t)stack.rlim_max);
}

/* Dies where each cell must have a uid of its own and cannot. */
static void
find_ids(struct start *start)
{
	const struct config *config = start->config;

	idmap_find(&start->ids, config, start->generation->slot);
	start->broker.single_uid = start->ids.count == 0;
	if (start->ids.count > 0)
		return;
	if (config->uid_per_cell == LAYER_REQUIRED)
		die("a uid for each cell is required and cannot be had: %s. Start as root, have root give you ids (usermod "
		    "--add-subuids FIRST-LAST --add-subgids FIRST-LAST YOU), or do without by isolation.uid_per_cell = \"off\"",
		    start->ids.detail);
	log_warn("all cells have the runner's own uid: %s", start->ids.detail);
}

/*
 * Dies if another runner on this host has some of our uids. Without root there is no such file, and
 * no choice of uids.
 */
static void
lock_uids(struct start *start)
{
	const struct config *config = start->config;
	uint32_t count = 1 + start->level->uids_per_cell * config->cells;
	char error[ERROR_SIZE];

	start->uids_fd = -1;
	if (!start->is_root)
		return;
	start->uids_fd = uid_lock_take(UID_LOCK_FILE, config->first_uid, count, start->level->uids_wait_ms, error, sizeof error);
	if (start->uids_fd == -1)
		die("%s: runner.first_uid: %s; allowed: a range of its own for each runner", config->path, error);
	if (start->uids_fd < 0)
		log_warn("cannot see whether another runner has some of our uids: %s", error);
}

static void
find_landlock(struct start *start)
{
	struct broker *broker = &start->broker;
	enum requirement wanted = start->config->landlock;
	int abi = wanted == LAYER_OFF ? 0 : landlock_abi();

	broker->landlock_abi = abi > 0 ? abi : 0;
	broker->zygote_landlock = abi > 0 && start->level->has_zygote_landlock();
	if (abi > 0 || wanted == LAYER_OFF)
		return;
	if (wanted == LAYER_REQUIRED)
		die("Landlock is required and cannot be had: %s. Boot with landlock in the lsm= list, or do without by "
		    "isolation.landlock = \"off\"",
		    strerror(errno));
	log_warn("Landlock cannot be had: %s", strerror(errno));
}

static void
prepare_languages(struct start *start)
{
	struct broker *broker = &start->broker;
	const struct config *config = start->config;
	struct policy_cache policies = { .dir = config->policy_dir, .place = level_place(broker) };
	char error[ERROR_SIZE];

	broker->language_count = config->language_count;
	broker->language = calloc(config->language_count, sizeof *broker->language);
	if (broker->language == NULL)
		die("out of memory");
	for (size_t i = 0; i < config->language_count; i++) {
		if (language_prepare(&broker->language[i], config, config->language[i],
		        start->is_root ? (uid_t)config->first_uid : (uid_t)-1, &policies, error, sizeof error) != 0 ||
		    start->level->open_root(start, &broker->language[i], error, sizeof error) != 0)
			die("%s", error);
	}
	policy_cache_free(&policies);
	if (level_first_language(broker) == NULL)
		die("no language is available: %s: %s", broker->language[0].config->name, broker->language[0].reason);
}

static void
open_cgroups(struct start *start)
{
	struct broker *broker = &start->broker;
	const struct config *config = start->config;
	char error[ERROR_SIZE], name[HOST_NAME_SIZE];

	if (config->cgroup == LAYER_OFF)
		return;
	host_instance_name(config->socket_path, start->generation->slot, name);
	if (cgroup_open(&broker->cgroup, config->cgroup_parent != NULL ? config->cgroup_parent : getenv(PARENT_GROUP), name,
	        start->broker_uid, error, sizeof error) == 0)
		return;
	if (config->cgroup == LAYER_REQUIRED)
		die("control groups are required and cannot be had: %s. Start as root, name a delegated group with "
		    "isolation.cgroup_parent, or do without by isolation.cgroup = \"off\"",
		    error);
	log_warn("control groups cannot be had, so memory and process limits are rlimits only: %s", error);
}

static void
load_collector_policy(struct start *start)
{
	char error[ERROR_SIZE];

	start->broker.collector_policy = policy_load(start->config->policy_dir, "collector", 0, error, sizeof error);
	if (start->broker.collector_policy == NULL)
		die("%s", error);
}

/* ---- the broker ------------------------------------------------------------------------------ */

static void
make_cells(struct start *start)
{
	struct broker *broker = &start->broker;
	const struct config *config = start->config;
	char error[ERROR_SIZE];

	broker->cell = calloc(config->cells, sizeof *broker->cell);
	if (broker->cell == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < config->cells; i++) {
		struct cell *cell = &broker->cell[i];

		cell_init(cell, i);
		if (broker->cgroup.version != 0 &&
		    cgroup_open_cell(&broker->cgroup, i, config->cpu_percent,
		        config->network != NETWORK_NONE || config_has_loopback(config), &cell->cgroup, error, sizeof error) != 0)
			die("%s", error);
	}
	if (broker->cgroup.version != 0) {
		cgroup_open_keep(&broker->cgroup);
		cgroup_open_close(&broker->cgroup);
	}
}

static size_t
available_languages(const struct broker *broker)
{
	size_t count = 0;

	for (size_t i = 0; i < broker->language_count; i++)
		count += broker->language[i].state != LANGUAGE_MISSING;
	return count;
}

/* Whatever is left of the limit goes to connections of workers that have no run. */
static void
use_whole_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* The rest of the start, in the broker's namespaces if it has some; then serve. */
static void __attribute__((noreturn)) become_broker(struct start *start, int door_fd)
{
	struct broker *broker = &start->broker;
	const struct config *config = start->config;
	struct fd_budget budget;

	/*
	 * In a process group of its own: Ctrl-C in a terminal is for the door alone, which ends the
	 * others in order.
	 */
	setpgid(0, 0);
	start->level->become_root(start);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		die("set the parent-death signal: %s", strerror(errno));
	use_whole_limit();
	if ((broker->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
		die("open /dev/null: %s", strerror(errno));
	start->level->build_roots(start);
	selftest_listen(broker);
	make_cells(start);
	start->level->leave_host(start);
	broker->compile_cache.most_bytes = config->compiled_bytes;
	/*
	 * Give free memory back to the kernel, so that wardens and launchers do not inherit it: the
	 * kernel counts the size of such a process as that of each program that it executes.
	 */
	malloc_trim(0);
	fd_budget_of_broker(config, &budget);
	if (config->level_note != NULL)
		log_warn("level %s: %s", proto_level_name(config->level), config->level_note);
	log_info("level %s: serving %zu language(s) with up to %u cells, %" PRIu64 " descriptors",
	    proto_level_name(config->level), available_languages(broker), config->cells, budget.total);
	serve(broker, door_fd);
}

/* ---- the door -------------------------------------------------------------------------------- */

/*
 * Keep the door's descriptors, at numbers that it is told, and close all others: those of control
 * groups, mounts, setups and trees are for the broker.
 */
static void
keep_door_fds(struct start *start, int *broker_fd)
{
	int kept[4] = { GENERATION_REPORT_FD, start->listen_fd, *broker_fd, start->uids_fd };
	size_t count = start->uids_fd >= 0 ? 4 : 3;

	if (inherit_fds_only(kept, count, true) != 0)
		die("close descriptors that the door must not have: %s", strerror(errno));
	static_assert(INHERIT_FDS_FIRST == GENERATION_REPORT_FD, "the pipe to the parent keeps its number");
	start->listen_fd = INHERIT_FDS_FIRST + 1;
	*broker_fd = INHERIT_FDS_FIRST + 2;
	start->uids_fd = start->uids_fd >= 0 ? INHERIT_FDS_FIRST + 3 : -1;
}

/* Free what was prepared for the broker, which has a copy. */
static void
free_prepared(struct broker *broker)
{
	for (size_t i = 0; i < broker->language_count; i++)
		language_prepare_free(&broker->language[i]);
	free(broker->language);
	policy_free(broker->collector_policy);
}

/* Fork the broker, give it its ids, and become the door. Returns the exit status. */
static int
part(struct start *start, struct relay_supervisor *relay)
{
	int pair[2], mapped[2];
	char error[ERROR_SIZE], byte;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 || pipe2(mapped, O_CLOEXEC) != 0)
		die("make the channels between our processes: %s", strerror(errno));
	pid = start->level->fork_broker(start);
	if (pid < 0)
		die("make the broker: %s (cellblock-runner --check-host says what this host offers)", strerror(errno));
	if (pid == 0) {
		close(pair[0]);
		close(start->listen_fd);
		close(GENERATION_REPORT_FD);
		close(mapped[1]);
		fdpass_close(&start->uids_fd, 1);
		/* Until its ids are mapped this process is nobody and can do nothing. */
		if (read(mapped[0], &byte, 1) != 1)
			exit(1);
		close(mapped[0]);
		become_broker(start, pair[1]); /* guard_fd stays open as long as the broker lives */
	}
	if (start->level->map_ids(start, pid, error, sizeof error) != 0)
		die("%s", error);
	host_drop_privileges(start->ids.owner);
	if (write(mapped[1], "", 1) != 1)
		die("wake the broker: %s", strerror(errno));
	free_prepared(&start->broker);
	keep_door_fds(start, &pair[0]);
	/* The kernel has forgotten it with the change of the ids. */
	generation_die_with_parent(start->generation);
	return door_serve(&(struct door_setup){ .config = start->config,
	    .generation = start->generation,
	    .listen_fd = start->listen_fd,
	    .broker_fd = pair[0],
	    .broker_pid = pid,
	    .worker_uid = start->worker_uid,
	    .landlock_abi = start->broker.landlock_abi,
	    .relay = relay });
}

int
start_serve(struct config *config, const struct generation *generation)
{
	struct start start = { .level = level_find(config->level),
		.config = config,
		.generation = generation,
		.listen_fd = GENERATION_LISTEN_FD,
		.is_root = geteuid() == 0,
		.may_mount = geteuid() == 0 && capabilities_have(CAP_SYS_ADMIN),
		.chroot_fd = -1,
		.guard_fd = -1,
		.broker = { .config = config,
		    .generation = generation->has_parent ? generation->number : 0,
		    .isolation = level_find(config->level)->isolation,
		    .proc_fd = -1,
		    .host_fd = -1,
		    .proc_files_fd = -1,
		    .no_network_fd = -1,
		    .handed_fd = -1,
		    .last_pid_fd = -1,
		    .tasks_fd = -1,
		    .null_fd = -1,
		    .children = { .fd = -1 },
		    .door = { .fd = -1 },
		    .relay = { .fd = -1 } } };
	struct relay_supervisor *relay;
	gid_t worker_gid;

	signal(SIGPIPE, SIG_IGN);
	generation_die_with_parent(generation);
	host_use_slot(config, generation->slot);
	door_take_listener(config, start.listen_fd);
	start.level->check(config);
	find_time_zone(config);
	find_memory(&start);
	reserve_descriptors(config);
	reserve_stack(config);
	find_ids(&start);
	lock_uids(&start);
	start.worker_uid = door_worker_uid(config, &worker_gid);
	find_landlock(&start);
	start.level->prepare(&start);
	prepare_languages(&start);
	open_cgroups(&start);
	load_collector_policy(&start);
	relay = relay_supervisor_prepare(config, start.broker.landlock_abi);
	walls_list(&start);
	selftest_look_at_host(&start.host);
	door_block_signals();
	return part(&start, relay);
}
