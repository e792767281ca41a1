/* selftest.c - see selftest.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/attack.h"
#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "broker/run.h"
#include "clock.h"
#include "fdpass.h"
#include "landlock.h"
#include "log.h"
#include "kernel/netns.h"
#include "kernel/pidfd_ns.h"

#define TEST_MEMORY_BYTES (UINT64_C(64) << 20) /* enough for a guest that does nothing */
#define TEST_TASKS 8
#define NOBODY 65534u /* the uid that a process without a mapped one has in its user namespace */
#define TEST_CPU_MS 20
#define TEST_WALL_MS 20
#define RETRY_FIRST_US 20000u
#define RETRY_MOST_US 5000000u
#define FAILURES_LOGGED 3 /* inconclusive tests in a row, before the log says so */

/* One guest's part of a test. */
struct selftest {
	struct run run;
	struct zygote *zygote;
	pid_t zygote_pid; /* of the tested process: another one may have taken its place */
	struct cell *cell;
	int out_fd;                     /* where the guest's reports can be read; -1: none yet */
	uint64_t box_device, box_inode; /* of its tmpfs */
};

/* ---- namespaces ------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name; /* below /proc/PID/ns */
	enum pidfd_ns_kind kind;
	const char *layer;
	bool is_per_cell;
} kinds[SELFTEST_NAMESPACES] = {
	{ "ipc", NAMESPACE_IPC, "ipc_namespace", false },
	{ "mnt", NAMESPACE_MOUNT, "mount_namespace", true },
	{ "net", NAMESPACE_NETWORK, "network_namespace", true }, /* see cell_network_is_own */
	{ "pid", NAMESPACE_PID, "pid_namespace", true },
	{ "user", NAMESPACE_USER, "user_namespace", false },
	{ "uts", NAMESPACE_UTS, "uts_namespace", true },
};

/* A layer does not hold. One that was not put up cannot fail. */
static void
break_layer(struct broker *broker, const char *layer, const char *who, const char *what)
{
	bool is_required;

	if (!layers_is_up(&broker->layers, layer))
		return;
	is_required = layers_break(&broker->layers, layer, "%s: self-test: not stopped: %s", who, what);

	log_warn("%s: self-test: not stopped: %s; layer %s is not in force%s", who, what, layer,
	    is_required ? ", and nothing is served before a restart" : "");
	/* The dispatcher stops the service. */
	loop_dispatch(&broker->loop);
}

static void
namespaces_below(int proc_fd, uint64_t *namespaces)
{
	for (size_t i = 0; i < SELFTEST_NAMESPACES; i++) {
		char path[32];
		struct stat st;

		snprintf(path, sizeof path, "self/ns/%s", kinds[i].name);
		namespaces[i] = fstatat(proc_fd, path, &st, 0) == 0 ? st.st_ino : 0;
	}
}

void
selftest_look_at_host(struct selftest_host *host)
{
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	namespaces_below(proc_fd, host->namespaces);
	fdpass_close(&proc_fd, 1);
}

/*
 * Whether the host's root is mapped. The second column of our own map counts in the parent
 * namespace.
 */
static bool
has_host_root(int proc_fd)
{
	int fd = openat(proc_fd, "self/uid_map", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	unsigned inside, outside, count;
	bool found = file == NULL;

	while (file != NULL && fscanf(file, "%u %u %u", &inside, &outside, &count) == 3)
		found = found || outside == 0;
	if (file != NULL)
		fclose(file);
	return found;
}

void
selftest_look_at_self(struct broker *broker, const struct selftest_host *host, int proc_fd)
{
	uint64_t own[SELFTEST_NAMESPACES];

	namespaces_below(proc_fd, own);
	for (size_t i = 0; i < SELFTEST_NAMESPACES; i++) {
		if (host->namespaces[i] == 0 || own[i] == 0 || own[i] == host->namespaces[i])
			break_layer(broker, kinds[i].layer, "runner", "it shares the namespace with the host");
	}
	if (has_host_root(proc_fd))
		break_layer(broker, "user_namespace", "runner", "root of the host is a user of it");
	else
		layers_verify(&broker->layers, "user_namespace");
}

void
selftest_listen(const struct broker *broker)
{
	const int namespaces[] = { -1, broker->no_network_fd };

	for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++) {
		/*
		 * Another runner in the same container, or on the host's network, listens as
		 * well as we.
		 */
		if ((i == 0 || namespaces[i] >= 0) && netns_listen_abstract(namespaces[i], ATTACK_ABSTRACT_NAME) < 0 &&
		    errno != EADDRINUSE)
			die("listen on an abstract name, for the self-test: %s", strerror(errno));
	}
}

/* The inodes of the namespaces of a process; 0 where the kernel does not report one. */
static void
namespaces_of(pid_t pid, uint64_t *namespaces)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	for (size_t i = 0; i < SELFTEST_NAMESPACES; i++) {
		int fd = pidfd < 0 ? -1 : pidfd_ns_open(pidfd, kinds[i].kind);
		struct stat st;

		namespaces[i] = fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;
		fdpass_close(&fd, 1);
	}
	fdpass_close(&pidfd, 1);
}

/* Another cell with a guest in it, or NULL. */
static const struct cell *
another_cell(const struct broker *broker, const struct cell *cell)
{
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		const struct cell *other = &broker->cell[i];

		if (other != cell && other->guest_pid != 0 && other->box_fd >= 0)
			return other;
	}
	return NULL;
}

/* Look at the cell from outside: the namespaces and the tmpfs that must be its own. */
static void
look_at_cell(struct broker *broker, const struct cell *cell, struct selftest *test)
{
	const char *who = cell->language->config->name;
	const struct cell *other = another_cell(broker, cell);
	uint64_t ours[SELFTEST_NAMESPACES], own[SELFTEST_NAMESPACES], others[SELFTEST_NAMESPACES] = { 0 };
	struct stat box, other_box, wardens;

	namespaces_of(getpid(), ours);
	namespaces_of(cell->guest_pid, own);
	/* Wardens and zygotes share a network namespace, which a cell must have left. */
	if (fstat(broker->no_network_fd, &wardens) != 0)
		wardens.st_ino = 0;
	if (other != NULL)
		namespaces_of(other->guest_pid, others);
	for (size_t i = 0; i < SELFTEST_NAMESPACES; i++) {
		if (own[i] == 0 || (kinds[i].kind == NAMESPACE_NETWORK && !cell_network_is_own(broker, cell)))
			continue;
		if (kinds[i].is_per_cell && (own[i] == ours[i] || own[i] == others[i] || own[i] == wardens.st_ino))
			break_layer(broker, kinds[i].layer, who, "a cell shares the namespace");
		else if (strcmp(kinds[i].name, "user") == 0 && (own[i] == ours[i]) == broker->single_uid)
			break_layer(broker, kinds[i].layer, who, "a cell is in another one than is meant for it");
	}
	if (fstat(cell->box_fd, &box) != 0)
		return; /* the expected device stays 0, which no guest can report */
	test->box_device = box.st_dev;
	test->box_inode = box.st_ino;
	if (other != NULL && fstat(other->box_fd, &other_box) == 0 && other_box.st_dev == box.st_dev)
		break_layer(broker, "tmpfs", who, "two cells have the same");
}

/* ---- the parts of a test ---------------------------------------------------------------------------------------- */

struct part {
	uint32_t kind;        /* enum attack_kind */
	enum verdict verdict; /* if the layer holds and the guest was not stopped before */
	const char *layer;
	const char *name;
};

/* The first part ends with the first of the deadly calls. The others follow, and then these. */
static const struct part limit_parts[] = {
	{ ATTACK_MEMORY, VERDICT_MEMORY_LIMIT, "cgroup", "more memory than it has" },
	{ ATTACK_TASKS, VERDICT_PROCESS_LIMIT, "cgroup", "more threads than it has" },
	{ ATTACK_CPU, VERDICT_CPU_LIMIT, "deadlines", "more CPU time than it has" },
	{ ATTACK_TIME, VERDICT_TIMEOUT, "deadlines", "more time than it has" },
};

#define LIMIT_PARTS (sizeof limit_parts / sizeof limit_parts[0])

static unsigned
all_parts(void)
{
	return (unsigned)(attack_deadly_count() + LIMIT_PARTS);
}

/*
 * The number of parts that a zygote has to pass. If its language has passed before: the first one.
 * The first zygote of a policy also makes the deadly calls. The first zygote of all also exceeds
 * the limits, which are the same for every language.
 */
static unsigned
parts_of(const struct broker *broker, const struct zygote *zygote)
{
	const struct language *language = zygote->language;
	bool is_first = true, policy_is_new = true;

	if (language->is_verified)
		return 1;
	for (size_t l = 0; l < broker->language_count; l++) {
		const struct language *other = &broker->language[l];

		is_first = is_first && !other->is_verified;
		policy_is_new = policy_is_new &&
		    (!other->is_verified || strcmp(other->config->policy, language->config->policy) != 0);
	}
	if (is_first)
		return all_parts();
	return policy_is_new ? (unsigned)attack_deadly_count() : 1;
}

static struct part
part_of(const struct broker *broker, unsigned number)
{
	struct part part = { ATTACK_WALLS, VERDICT_DENIED, "seccomp", NULL };

	if (number >= attack_deadly_count()) {
		part = limit_parts[number - attack_deadly_count()];
		if (broker->cgroup.version == 0 && strcmp(part.layer, "cgroup") == 0)
			part.layer = "rlimits";
		return part;
	}
	if (number > 0)
		part.kind = ATTACK_DEADLY + number;
	part.name = attack_deadly_name(number);
	return part;
}

static struct run_limits
limits_of(const struct zygote *zygote, uint32_t kind)
{
	struct run_limits limits = zygote->language->config->limits.default_;

	if (kind == ATTACK_MEMORY)
		limits.memory_bytes = TEST_MEMORY_BYTES;
	else if (kind == ATTACK_CPU)
		limits.cpu_ms = TEST_CPU_MS;
	else if (kind == ATTACK_TIME)
		limits.wall_ms = TEST_WALL_MS;
	if (kind == ATTACK_TASKS) {
		limits.processes = TEST_TASKS;
		limits.threads = 0;
	}
	run_limits_settle_stack(&limits, &zygote->language->config->limits.maximum);
	return limits;
}

/* ---- a part, from its cell to its end --------------------------------------------------------------------------- */

static int armed(struct broker *broker, struct run *run);
static void ended(struct broker *broker, struct run *run);
static void refused(struct broker *broker, struct run *run, enum refusal refusal, uint32_t retry_ms);

static const struct run_owner owner = { .ended = ended, .refused = refused, .armed = armed };

static void
free_test(struct broker *broker, struct selftest *test)
{
	test->zygote->is_in_test = false;
	run_drop(broker, &test->run);
	fdpass_close(&test->out_fd, 1);
	free(test);
	loop_dispatch(&broker->loop);
}

int
selftest_arm(struct broker *broker, struct cell *cell, struct zygote *zygote)
{
	struct selftest *test = calloc(1, sizeof *test);
	struct run *run;

	if (test == NULL)
		return -1;
	*test = (struct selftest){ .zygote = zygote, .zygote_pid = zygote->pid, .cell = cell, .out_fd = -1 };
	if (zygote->test_part == 0) {
		zygote->test_parts = parts_of(broker, zygote);
		zygote->test_began_us = clock_us();
	}
	run = &test->run;
	run->owner = &owner;
	run->language = zygote->language;
	run->pool = zygote->pool;
	run->attack = part_of(broker, zygote->test_part).kind;
	run->limits = limits_of(zygote, run->attack);
	run->program_fd = run->patterns_fd = run->pack_fd = run->files_fd = run->extraction.fd = -1;
	zygote->is_in_test = true;
	if (cell_arm_for(broker, cell, zygote, run) != 0) {
		free_test(broker, test);
		return -1;
	}
	return 0;
}

/*
 * The descriptors of a run: nothing to read, a pipe for the reports, nowhere for errors. Returns 0,
 * or -1 with errno.
 */
static int
open_run(const struct broker *broker, struct selftest *test)
{
	struct run *run = &test->run;
	int out[2];

	if (pipe2(out, O_CLOEXEC) != 0)
		return -1;
	test->out_fd = out[0];
	run->fds[0] = fcntl(broker->null_fd, F_DUPFD_CLOEXEC, 0);
	run->fds[1] = out[1];
	run->fds[2] = fcntl(broker->null_fd, F_DUPFD_CLOEXEC, 0);
	run->fd_count = 3;
	return run->fds[0] < 0 || run->fds[2] < 0 || fcntl(test->out_fd, F_SETFL, O_NONBLOCK) != 0 ? -1 : 0;
}

/* The guest waits: look at its cell, and let it attack. */
static int
armed(struct broker *broker, struct run *run)
{
	struct selftest *test = watch_owner(run, struct selftest, run);

	look_at_cell(broker, test->cell, test);
	run->queued_us = clock_us();
	if (open_run(broker, test) == 0)
		return 0;
	log_warn("%s: self-test: open the descriptors of a run: %s", run->language->config->name, strerror(errno));
	return -1;
}

/* The last report that the guest has written; a stage of 0 if there is none. */
static struct attack_report
read_report(const struct selftest *test)
{
	struct attack_report last = { 0 }, report;

	while (read(test->out_fd, &report, sizeof report) == (ssize_t)sizeof report)
		last = report;
	return last;
}

static bool
is_all(const uint32_t *ids, uint32_t id)
{
	return ids[0] == id && ids[1] == id && ids[2] == id;
}

/* Compare the guest's own view of its ids, disk and limits with the intended one. */
static void
judge_facts(struct broker *broker, const struct cell *cell, const struct selftest *test, const struct attack_facts *facts)
{
	const char *who = cell->language->config->name;
	uint32_t id = broker->single_uid ? NOBODY : broker->isolation->uid(broker->config, cell);
	const char *layer = broker->single_uid ? "user_namespace" : "uid_per_cell";
	uint64_t disk_bytes = (test->run.limits.disk_bytes + 4095) / 4096 * 4096;

	if (!is_all(facts->uid, id) || !is_all(facts->gid, id) || (!broker->single_uid && facts->groups != 0))
		break_layer(broker, layer, who, "a user that is not the cell's");
	else
		layers_verify(&broker->layers, layer);
	if (facts->box_device != test->box_device || facts->box_inode != test->box_inode)
		break_layer(broker, "tmpfs", who, "a folder that is not the cell's");
	if (facts->disk_bytes > disk_bytes || facts->inodes > test->run.limits.inodes)
		break_layer(broker, "tmpfs", who, "more disk than it has");
	if (facts->open_files > test->run.limits.open_files)
		break_layer(broker, "rlimits", who, "more open files than it may have");
}

/*
 * The layer that is to stop an attack. Two of those on the mounts are for the root to stop, by
 * whatever it is made.
 */
static const char *
layer_against(const struct broker *broker, size_t attack)
{
	static const char *const on_the_root[] = { "files of the host", "above the root" };

	for (size_t i = 0; i < sizeof on_the_root / sizeof on_the_root[0]; i++) {
		if (strcmp(attack_name(attack), on_the_root[i]) == 0)
			return broker->isolation->root_layer;
	}
	return attack_layer(attack);
}

/* Judge the attacks of the table: break the layers of those that got out, verify the others. */
static void
judge_walls(struct broker *broker, const struct cell *cell, const struct attack_report *report)
{
	static const char *const unattacked[] = { "ipc_namespace", "uts_namespace", "network_namespace", "disk",
		"handed_sockets" };

	for (size_t i = 0; attack_name(i) != NULL; i++) {
		if (report->got_out[i] &&
		    (broker->landlock_abi >= LANDLOCK_IOCTL_ABI || strcmp(attack_name(i), ATTACK_ON_LANDLOCK) != 0))
			break_layer(broker, layer_against(broker, i), cell->language->config->name, attack_name(i));
	}
	for (size_t i = 0; attack_name(i) != NULL; i++)
		layers_verify(&broker->layers, layer_against(broker, i));
	/*
	 * The policy denies every call that these namespaces are about, so look_at_cell has
	 * compared them from outside. The disk of level chroot is a limit that the reaper watches.
	 * Only runs with a network have handed sockets, which seccomp keeps as they are.
	 */
	for (size_t i = 0; i < sizeof unattacked / sizeof unattacked[0]; i++)
		layers_verify(&broker->layers, unattacked[i]);
}

/* Returns whether the part was conclusive. If not, `why` says why. */
static bool
judge(struct broker *broker, const struct selftest *test, const struct part *part, char *why, size_t size)
{
	const struct cell *cell = test->cell;
	enum verdict verdict = (enum verdict)test->run.result.verdict;
	const char *who = cell->language->config->name;
	struct attack_report report = read_report(test);
	size_t count;

	if (report.stage == 0) {
		snprintf(why, size, "its guest did not begin");
		return false;
	}
	if (report.stage == ATTACK_SURVIVED) {
		break_layer(broker, part->layer, who, part->name);
		return true;
	}
	if (verdict != VERDICT_OK && verdict != part->verdict) {
		snprintf(why, size, "\"%s\" ended with %s", part->name, proto_verdict_name(verdict));
		return false;
	}
	if (part->kind == ATTACK_WALLS) {
		for (count = 0; attack_name(count) != NULL;)
			count++;
		if (report.stage != ATTACK_DONE || report.count != count) {
			snprintf(why, size, "its guest has tried %u attacks of %zu", report.count, count);
			return false;
		}
		judge_facts(broker, cell, test, &report.facts);
		judge_walls(broker, cell, &report);
	}
	if (cgroup_pids_now(&cell->cgroup) != 0)
		break_layer(broker, "pid_namespace", who, "a process that outlives its run");
	return true;
}

/* The zygote has passed all parts: it serves. */
static void
pass(struct broker *broker, struct zygote *zygote)
{
	struct language *language = zygote->language;

	if (zygote->test_parts == all_parts()) {
		layers_verify(&broker->layers, "cgroup");
		layers_verify(&broker->layers, "deadlines");
	}
	if (!language->is_verified) {
		size_t attacks = 0;

		while (attack_name(attacks) != NULL)
			attacks++;
		log_info("%s: self-test: %zu attacks, all of them stopped, in %llu ms", language->config->name,
		    attacks + zygote->test_parts, (unsigned long long)(clock_us() - zygote->test_began_us) / 1000u);
	}
	language->is_verified = true;
	zygote->is_verified = true;
	language_event(broker, language, LANGUAGE_SERVES, NULL);
	/* The one that it replaces ends. */
	loop_wake_at(&broker->loop, 0);
}

/*
 * The test was inconclusive: it is repeated after a backoff. Several in a row are logged, and are a
 * failure of the language if no zygote serves.
 */
static void
fail(struct broker *broker, struct zygote *zygote, const char *why)
{
	struct language *language = zygote->language;
	uint64_t wait_us = (uint64_t)RETRY_FIRST_US << (zygote->test_failures < 8 ? zygote->test_failures : 8);
	char reason[PROTO_TEXT_SIZE];

	zygote->test_us = clock_us() + (wait_us < RETRY_MOST_US ? wait_us : RETRY_MOST_US);
	loop_wake_at(&broker->loop, zygote->test_us);
	if (++zygote->test_failures < FAILURES_LOGGED)
		return;
	snprintf(reason, sizeof reason, "the self-test does not come to its end: %s", why);
	if (zygote->test_failures == FAILURES_LOGGED)
		log_warn("%s: %s", language->config->name, reason);
	if (!language_serves(language))
		language_event(broker, language, LANGUAGE_FAILED, reason);
}

/*
 * Whether the process that was tested still serves. Else its death was why, and another one begins
 * anew.
 */
static bool
is_same_process(const struct selftest *test)
{
	if (test->zygote->pid == test->zygote_pid)
		return true;
	test->zygote->test_part = 0;
	return false;
}

/* Nothing is left in the cell of a part: judge. */
static void
ended(struct broker *broker, struct run *run)
{
	struct selftest *test = watch_owner(run, struct selftest, run);
	struct zygote *zygote = test->zygote;
	struct part part = part_of(broker, zygote->test_part);
	char why[128];

	if (is_same_process(test)) {
		if (!judge(broker, test, &part, why, sizeof why)) {
			fail(broker, zygote, why);
		} else if (layers_broken(&broker->layers) == NULL) {
			zygote->test_failures = 0;
			if (++zygote->test_part == zygote->test_parts)
				pass(broker, zygote);
		}
	}
	free_test(broker, test);
}

static void
refused(struct broker *broker, struct run *run, enum refusal refusal, uint32_t retry_ms)
{
	struct selftest *test = watch_owner(run, struct selftest, run);

	(void)refusal;
	(void)retry_ms;
	if (is_same_process(test))
		fail(broker, test->zygote, "its cell could not be made");
	free_test(broker, test);
}

/* ---- if something got out --------------------------------------------------------------------------------------- */

void
selftest_stop_serving(struct broker *broker)
{
	run_queue_refuse(broker, NULL, NULL, REFUSED_UNAVAILABLE, "a required layer is not in force", 0);
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		struct cell *cell = &broker->cell[i];
		struct run *run = cell->run;

		if (cell->is_reserved)
			continue;
		if (cell->state == CELL_ARMED) {
			cell_give_up(broker, cell);
		} else if (cell->state == CELL_RUNNING || cell->state == CELL_SETTLING) {
			cell_run_drop(broker, cell);
			if (run != NULL)
				run_refuse(broker, run, REFUSED_UNAVAILABLE, "a required layer is not in force", 0);
		}
	}
}
