/*
 * check_host.c - see check_host.h. Each trial runs in a child, so that none is in the way of the
 * next, and in the order in which the start needs them. Features are probed; version numbers are
 * not trusted.
 */
#define _GNU_SOURCE
#include "check/check_host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capabilities.h"
#include "kernel/dirtree.h"
#include "kernel/fork_into.h"
#include "kernel/netns.h"
#include "landlock.h"
#include "messages.h"
#include "policy.h"
#include "start/cgroup_open.h"
#include "start/fd_budget.h"
#include "start/host.h"
#include "start/idmap.h"
#include "start/rootfs.h"
#include "warden/chroot_tree.h"
#include "warden/reaper.h"

#define TEXT_SIZE 512
#define LEVEL(level) (1u << (level))
#define EVERY_LEVEL (LEVEL(LEVEL_NAMESPACES) | LEVEL(LEVEL_CHROOT))

struct trial {
	const char *layer;
	/*
	 * Runs in a child. Writes to `text` (TEXT_SIZE bytes) what there is. Returns 0, or -1 with
	 * errno; errno 0: `text` says why.
	 */
	int (*carry_out)(const struct config *config, char *text);
	bool inside;                                   /* the child is root of a new user namespace */
	unsigned levels;                               /* that need it: LEVEL() */
	bool (*required)(const struct config *config); /* whether the configuration insists on it, at these levels */
	const char *advice;
};

static bool
never(const struct config *config)
{
	(void)config;
	return false;
}

static bool
always(const struct config *config)
{
	(void)config;
	return true;
}

static bool
cgroup_required(const struct config *config)
{
	return config->cgroup == LAYER_REQUIRED;
}

static bool
uid_per_cell_required(const struct config *config)
{
	return config->uid_per_cell == LAYER_REQUIRED;
}

static bool
landlock_required(const struct config *config)
{
	return config->landlock == LAYER_REQUIRED || config->worker_landlock == LAYER_REQUIRED;
}

static int
try_user_namespace(const struct config *config, char *text)
{
	(void)config;
	snprintf(text, TEXT_SIZE, "ids mapped");
	return 0;
}

static int
try_uid_per_cell(const struct config *config, char *text)
{
	struct idmap ids;

	idmap_find(&ids, config, 0);
	snprintf(text, TEXT_SIZE, "%s", ids.detail);
	errno = 0;
	return ids.count > 0 ? 0 : -1;
}

static int
try_other_namespaces(const struct config *config, char *text)
{
	(void)config;
	snprintf(text, TEXT_SIZE, "pid, mount, ipc, uts and network namespaces");
	return unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET);
}

static int
try_root(const struct config *config, char *text)
{
	struct rootfs fs;

	(void)config;
	/* All steps to pivot_root, with the devices alone. */
	return unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	        rootfs_init(&fs, text, TEXT_SIZE) != 0 || rootfs_open(&fs, text, TEXT_SIZE) != 0 ||
	        rootfs_enter(&fs, NULL, NULL, text, TEXT_SIZE) != 0 ?
	    -1 :
	    snprintf(text, TEXT_SIZE,
	        "a read-only root by open_tree, "
	        "mount_setattr and pivot_root") < 0;
}

static int
try_proc(const struct config *config, char *text)
{
	(void)config;
	snprintf(text, TEXT_SIZE, "a procfs for each cell");
	return host_has_proc() ? 0 : -1;
}

static int
try_disk(const struct config *config, char *text)
{
	(void)config;
	snprintf(text, TEXT_SIZE, "a tmpfs with limits");
	return unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	        mount("cell", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=16,mode=700,uid=0,gid=0") != 0 ?
	    -1 :
	    0;
}

static int
try_pidfd(const struct config *config, char *text)
{
	int *tid_address = NULL;
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	(void)config;
	snprintf(text, TEXT_SIZE, "pidfd_open, clone3, PR_GET_TID_ADDRESS");
	if (fd < 0 || prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) != 0)
		return -1;
	/* A guest joins its cell's namespaces through a pidfd. */
	return unshare(CLONE_NEWUTS) != 0 || setns(fd, CLONE_NEWUTS) != 0 ? -1 : 0;
}

static int
try_cgroup(const struct config *config, char *text)
{
	struct cgroup_tree tree;
	char name[HOST_NAME_SIZE];
	int result;

	/* Another check may run at the same time. */
	snprintf(name, sizeof name, "cellblock-check-host-%d", (int)getpid());
	result = cgroup_open(&tree, config->cgroup_parent, name, geteuid() == 0 ? (uid_t)config->first_uid : geteuid(), text,
	    TEXT_SIZE);
	if (result == 0) {
		snprintf(text, TEXT_SIZE, "version %d: memory, pids, cpu", tree.version);
		cgroup_open_undo(&tree);
	}
	errno = 0;
	return result;
}

static int
try_seccomp(const struct config *config, char *text)
{
	struct policy *policy = policy_load(config->policy_dir, config->language[0]->policy, POLICY_UNIX_ALL, text, TEXT_SIZE);
	struct sock_fprog filter;

	if (policy == NULL)
		return -1;
	filter = (struct sock_fprog){ .len = (unsigned short)policy->base[0].count, .filter = policy->base[0].code };
	snprintf(text, TEXT_SIZE, "filters; %zu instructions for %s", policy->base[0].count, config->language[0]->name);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, 2, &filter) != 0 ? -1 : 0;
}

static int
try_landlock(const struct config *config, char *text)
{
	int abi = landlock_abi();

	(void)config;
	snprintf(text, TEXT_SIZE, "ABI %d: %s", abi, landlock_offers(abi));
	return abi > 0 ? 0 : -1;
}

static int
try_network(const struct config *config, char *text)
{
	int fd;

	(void)config;
	snprintf(text, TEXT_SIZE, "a namespace with a loopback, and a listener on it; for runs with a network by a proxy");
	if (unshare(CLONE_NEWNET) != 0 || netns_raise_loopback() != 0 || (fd = netns_listen(RELAY_PORT)) < 0)
		return -1;
	close(fd);
	return 0;
}

static bool
proxy_configured(const struct config *config)
{
	return config->network == NETWORK_PROXY;
}

static int
try_container_root(const struct config *config, char *text)
{
	const uint64_t needed = CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_FOWNER) |
	    CAPABILITY(CAP_KILL) | CAPABILITY(CAP_MKNOD) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETPCAP) |
	    CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SYS_CHROOT);

	(void)config;
	snprintf(text, TEXT_SIZE, "chown, dac_override, fowner, kill, mknod, setgid, setpcap, setuid, sys_chroot");
	return capabilities_keep(needed);
}

/* Make a tree with the devices alone, and enter it. */
static int
try_chroot(const struct config *config, char *text)
{
	char path[PATH_MAX];
	struct chroot_tree_count count;
	struct rootfs fs;
	bool is_new;
	int fd, result;

	snprintf(text, TEXT_SIZE, "a tree in %s", config->chroot_dir);
	snprintf(path, sizeof path, "%s/check-host-XXXXXX", config->chroot_dir);
	is_new = mkdir(config->chroot_dir, 0755) == 0;
	if ((!is_new && errno != EEXIST) || mkdtemp(path) == NULL || (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -1;
	result = rootfs_init(&fs, text, TEXT_SIZE);
	if (result == 0)
		result = chroot_tree_make(&fs, &config->chroot_leave_out, fd, NULL, &count, text, TEXT_SIZE);
	if (dirtree_remove(AT_FDCWD, path) != 0 || (is_new && rmdir(config->chroot_dir) != 0) ||
	    (result == 0 && (fchdir(fd) != 0 || chroot(".") != 0)))
		return -1;
	if (result != 0)
		errno = 0;
	return result;
}

static int
try_reaper(const struct config *config, char *text)
{
	uid_t uid = config->first_uid + 1;
	pid_t pid;

	snprintf(text, TEXT_SIZE, "a cell's reaper can kill all processes of its uid");
	if (reaper_is_left(uid)) {
		snprintf(text, TEXT_SIZE, "uid %u (runner.first_uid) is not free to be tried", (unsigned)uid);
		errno = 0;
		return 0;
	}
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps the child */
	pid = fork();
	if (pid == 0) {
		/* It ends with its parent, which may lack the right to kill it. */
		if (setresuid(uid, uid, uid) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() == 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (pid < 0 || reaper_become(uid, uid + config->cells) != 0)
		return -1;
	reaper_kill_all(uid);
	return 0;
}

static int
try_descriptors(const struct config *config, char *text)
{
	struct fd_budget budget;
	char error[1024];

	fd_budget_of_broker(config, &budget);
	snprintf(text, TEXT_SIZE, "%" PRIu64 " for this configuration", budget.total);
	if (fd_budget_reserve(config, error, sizeof error) == 0)
		return 0;
	snprintf(text, TEXT_SIZE, "%.*s", TEXT_SIZE - 1, error);
	errno = 0;
	return -1;
}

static const struct trial trials[] = {
	{ "user_namespace", try_user_namespace, true, LEVEL(LEVEL_NAMESPACES), always,
	    "allow them: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
	    "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that lets unshare through" },
	{ "uid_per_cell", try_uid_per_cell, false, LEVEL(LEVEL_NAMESPACES), uid_per_cell_required,
	    "start as root; or have root install uidmap and give you ids by usermod --add-subuids FIRST-LAST --add-subgids "
	    "FIRST-LAST YOU, one for each of runner.cells; or do without by isolation.uid_per_cell = \"off\"" },
	{ "namespaces", try_other_namespaces, true, LEVEL(LEVEL_NAMESPACES), always, "see user_namespace" },
	{ "network", try_network, true, LEVEL(LEVEL_NAMESPACES), proxy_configured,
	    "see user_namespace; or network.mode = \"none\"" },
	{ "root", try_root, true, LEVEL(LEVEL_NAMESPACES), always, "Linux 5.12 or later; in a container, one that may mount" },
	{ "proc", try_proc, false, LEVEL(LEVEL_NAMESPACES), never,
	    "let no part of /proc be covered (systemd: no ProtectKernelTunables, no ProcSubset; docker: systempaths=unconfined)" },
	{ "tmpfs", try_disk, true, LEVEL(LEVEL_NAMESPACES), always, "Linux 5.12 or later; in a container, one that may mount" },
	{ "pidfd", try_pidfd, true, LEVEL(LEVEL_NAMESPACES), always, "Linux 5.8 or later, built with CONFIG_CHECKPOINT_RESTORE" },
	{ "container_root", try_container_root, false, LEVEL(LEVEL_CHROOT), always,
	    "start as root, in a container with the capabilities that it is usually given" },
	{ "chroot", try_chroot, false, LEVEL(LEVEL_CHROOT), always,
	    "an isolation.chroot_dir that root can write, mounted neither nodev nor read-only, and a device policy that allows mknod" },
	{ "reaper", try_reaper, false, LEVEL(LEVEL_CHROOT), always, "see container_root" },
	{ "cgroup", try_cgroup, false, EVERY_LEVEL, cgroup_required,
	    "start as root, or inside of a delegated group (docs/install.md, \"Without root\", has the commands), or name such a "
	    "group with isolation.cgroup_parent (systemd: Delegate=yes), or do without by isolation.cgroup = \"off\"" },
	{ "descriptors", try_descriptors, false, EVERY_LEVEL, always,
	    "start with a higher limit of open files (systemd: LimitNOFILE), or configure fewer cells, queued runs or connections" },
	{ "seccomp", try_seccomp, false, EVERY_LEVEL, always, "a kernel with CONFIG_SECCOMP_FILTER" },
	{ "landlock", try_landlock, false, EVERY_LEVEL, landlock_required,
	    "a kernel with CONFIG_SECURITY_LANDLOCK and \"landlock\" in its lsm= list, or isolation.landlock and worker.landlock = \"optional\"" },
};

/*
 * Run one trial in a child, with these ids mapped. Returns whether it passed; `text` says what
 * there is, or why not.
 */
static bool
carry_out(const struct trial *trial, const struct config *config, const struct idmap *ids, char *text)
{
	int found[2], mapped[2], status = -1;
	char error[TEXT_SIZE] = "", byte;
	ssize_t n;
	pid_t pid;

	snprintf(text, TEXT_SIZE, "%s", "");
	if (pipe2(found, O_CLOEXEC) != 0 || pipe2(mapped, O_CLOEXEC) != 0)
		return false;
	pid = trial->inside ? fork_into(CLONE_NEWUSER) : fork();
	if (pid < 0) {
		snprintf(text, TEXT_SIZE, "%s", strerror(errno));
		return false;
	}
	if (pid == 0) {
		close(mapped[1]);
		if (trial->inside) {
			if (read(mapped[0], &byte, 1) != 1)
				_exit(1);
			host_become_namespace_root(true);
		}
		errno = 0;
		if (trial->carry_out(config, text) == 0)
			status = 0;
		else if (errno != 0)
			snprintf(text + strlen(text), TEXT_SIZE - strlen(text), "%s%s", text[0] != '\0' ? ": " : "",
			    strerror(errno));
		_exit(write(found[1], text, strlen(text)) < 0 || status != 0);
	}
	close(found[1]);
	close(mapped[0]);
	if (trial->inside && idmap_map(ids, pid, error, sizeof error) != 0)
		snprintf(text, TEXT_SIZE, "%s", error);
	else if (write(mapped[1], "", 1) != 1)
		snprintf(text, TEXT_SIZE, "%s", strerror(errno));
	close(mapped[1]);
	n = read(found[0], text, TEXT_SIZE - 1);
	if (n > 0)
		text[n] = '\0';
	close(found[0]);
	waitpid(pid, &status, 0);
	return status == 0;
}

/* Print whether each level can be had. `missing`: the trials that failed, a bit for each. */
static void
sum_up(const struct config *config, unsigned missing)
{
	static const enum level levels[] = { LEVEL_NAMESPACES, LEVEL_CHROOT };

	for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
		const char *separator = "cannot be had: ";

		printf("level %s%s: ", proto_level_name(levels[l]), config->level == levels[l] ? ", as configured" : "");
		for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
			if ((missing & 1u << i) != 0 && (trials[i].levels & LEVEL(levels[l])) != 0 &&
			    trials[i].required(config)) {
				printf("%s%s", separator, trials[i].layer);
				separator = ", ";
			}
		}
		puts(separator[0] == 'c' ? "can be had" : "");
	}
}

int
check_host(const struct config *config)
{
	struct utsname kernel;
	struct idmap ids;
	unsigned missing = 0;
	bool is_good = true;

	uname(&kernel);
	printf("%s %s, %s; as %s\n", kernel.sysname, kernel.release, kernel.machine,
	    geteuid() == 0 ? "root" : "an ordinary user");
	signal(SIGPIPE, SIG_IGN);
	idmap_find(&ids, config, 0);
	for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
		const struct trial *trial = &trials[i];
		bool required = (trial->levels & LEVEL(config->level)) != 0 && trial->required(config);
		char text[TEXT_SIZE];
		bool good;

		fflush(stdout);
		good = carry_out(trial, config, &ids, text);

		printf("%-16s %-8s %-8s %s\n", trial->layer, good ? "ok" : "missing", required ? "required" : "optional", text);
		if (!good)
			printf("%-16s what to do: %s\n", "", trial->advice);
		missing |= good ? 0 : 1u << i;
		is_good = is_good && (good || !required);
	}
	sum_up(config, missing);
	return !is_good;
}
