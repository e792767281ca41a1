/* children.c - see children.h. Runs in the broker, and in what it forks until that is what it is meant to be. */
#define _GNU_SOURCE
#include "broker/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel/capabilities.h"
#include "clock.h"
#include "driver.h"
#include "guest/hook.h"
#include "guest/launcher.h"
#include "log.h"
#include "broker/cell_env.h"
#include "messages.h"
#include "warden/first_tree.h"
#include "warden/warden.h"
#include "paths.h"

#define ZYGOTE_REPORT_US 30000000u

/* What every program of a cell finds in its environment; a language's configuration adds to it. */
static const char *const standard_env[] = {
	"HOME=" PATH_BOX, "TMPDIR=" PATH_TMP, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", NULL
};

#define ENV_MAX (72 + CELL_ENV_NETWORK_MAX) /* variables: the standard ones, the configured ones, a driver's, and a network's */

#define KEEP_MAX 4
#define TREE_POLL_NS 5000000

/* Of wardens and zygotes at level chroot. A zygote keeps only what it needs to make guests, when it has walled itself in. */
#define WARDEN_CAPABILITIES (CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETUID))
#define ZYGOTE_CAPABILITIES \
	(CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETPCAP) | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SYS_CHROOT))

/*
 * Fork a child that keeps `keep` as descriptor 3 onward and our stderr, and nothing else; and of the host's network, where that
 * is ours, only what it is meant to have. 0 in the child.
 */
static pid_t
fork_with(const struct broker *broker, bool has_network, const int *keep, size_t count)
{
	int high[KEEP_MAX];
	pid_t pid = fork();
	sigset_t none;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (broker->no_network_fd >= 0 && !has_network && setns(broker->no_network_fd, CLONE_NEWNET) != 0)
		die("leave the host's network namespace: %s", strerror(errno));
	/* Two steps, the first for all of them: one may stand where another has to go. */
	for (size_t i = 0; i < count; i++) {
		if ((high[i] = fcntl(keep[i], F_DUPFD, 3 + (int)count)) < 0)
			die("pass descriptors on: %s", strerror(errno));
	}
	for (size_t i = 0; i < count; i++) {
		if (dup2(high[i], 3 + (int)i) < 0)
			die("pass descriptors on: %s", strerror(errno));
	}
	if (syscall(SYS_close_range, 3u + (unsigned)count, ~0u, 0u) != 0)
		die("close_range: %s", strerror(errno));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* What the runner ignores, or may have inherited, programs find as it is usual. */
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	return 0;
}

/* Into a root: of a mount namespace, or of a tree. Returns 0, or -1 with errno. */
static int
enter(enum level level, int fd)
{
	if (level == LEVEL_NAMESPACES ? setns(fd, CLONE_NEWNS) != 0 : fchdir(fd) != 0 || chroot(".") != 0)
		return -1;
	return close(fd) != 0 || chdir("/") != 0 ? -1 : 0;
}

/* In the warden to be: see to it that the language has its first tree. `host_fd`: the root of the container. */
static void
plant(const struct language *language, const struct config *config, int trees_fd, int host_fd)
{
	struct first_tree tree = { .language = language->config->name, .list = &language->fs, .trees_fd = trees_fd };
	char error[512], driver[4096];

	if (language->start == START_ZYGOTE && language->config->driver != NULL) {
		snprintf(driver, sizeof driver, "%s/%s", config->driver_dir, language->config->driver);
		tree.driver_dir = driver;
	} else if (language->start == START_ZYGOTE) {
		tree.main_file = language->config->main_file;
	}
	if (enter(LEVEL_CHROOT, host_fd) != 0)
		die("warden: enter the container's root: %s", strerror(errno));
	if (first_tree_make(&tree, error, sizeof error) != 0)
		die("%s: %s", language->config->name, error);
}

/* In the zygote to be: wait for the first tree, which the warden may still be at work on, and open it. */
static int
wait_for_tree(int trees_fd)
{
	const struct timespec wait = { .tv_nsec = TREE_POLL_NS };
	int fd;

	/* The broker ends a zygote that does not report in time. */
	while ((fd = openat(trees_fd, FIRST_TREE_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == ENOENT)
		nanosleep(&wait, NULL);
	close(trees_fd);
	return fd;
}

int
spawn_warden(struct broker *broker, struct language *language)
{
	const struct config *config = broker->config;
	struct warden_config settings = { .cells = config->cells, .zygotes = (uint32_t)language->zygote_count,
		.inodes = config->inodes, .disk_bytes = language->config->limits.default_.disk_bytes,
		.output = language->config->compile.output, .output_bytes = language->config->compile.limits.disk_bytes,
		.single_uid = broker->single_uid, .zygote_landlock = broker->zygote_landlock, .first_uid = config->first_uid + 1 };
	int pair[2], keep[KEEP_MAX];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("%s: start the warden: %s", language->config->name, strerror(errno));
		return -1;
	}
	keep[0] = pair[1];
	keep[1] = config->level == LEVEL_CHROOT ? language->trees_fd : language->cell_mount_fd;
	keep[2] = broker->host_fd;
	pid = fork_with(broker, false, keep, config->level == LEVEL_CHROOT ? 3 : 2);
	if (pid == 0) {
		if (config->level == LEVEL_CHROOT)
			plant(language, config, 4, 5);
		if (enter(config->level, 4) != 0)
			die("warden: enter the root: %s", strerror(errno));
		if (config->level == LEVEL_NAMESPACES)
			warden_main(3, &settings);
		if (capabilities_keep(WARDEN_CAPABILITIES) != 0)
			die("warden: drop capabilities: %s", strerror(errno));
		warden_chroot_main(3, &settings);
	}
	close(pair[1]);
	if (pid < 0) {
		log_warn("%s: start the warden: %s", language->config->name, strerror(errno));
		close(pair[0]);
		return -1;
	}
	language->warden.pid = pid;
	language->warden.sock = pair[0];
	return 0;
}

/*
 * The rlimits of a guest, set in its zygote and inherited. Address space and CPU time are limited elsewhere. A core limit
 * of 0 stops core files, but not core dumps that are piped to a helper of the host; 1 stops both. See core(5).
 */
static void
set_rlimits(const struct config *config)
{
	const struct {
		int resource;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_CORE, 1 }, { RLIMIT_MEMLOCK, 64 << 10 }, { RLIMIT_MSGQUEUE, 0 }, { RLIMIT_NICE, 0 },
		{ RLIMIT_NOFILE, config->open_files }, { RLIMIT_RTPRIO, 0 }, { RLIMIT_SIGPENDING, 1024 },
		{ RLIMIT_STACK, 8 << 20 },
	};

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct rlimit both = { limits[i].value, limits[i].value };

		if (setrlimit((__rlimit_resource_t)limits[i].resource, &both) != 0)
			die("zygote: set rlimit %d: %s", limits[i].resource, strerror(errno));
	}
}

static bool
has_network(const struct zygote *zygote)
{
	return (zygote->pool % GRANT_COUNT & GRANT_NETWORK) != 0;
}

/* The environment of the zygote's programs, in `env`, which has room for ENV_MAX. Returns how many there are. */
static size_t
make_env(const struct broker *broker, const struct zygote *zygote, char **env)
{
	const struct language_config *language = zygote->language->config;
	size_t count = 0;

	for (size_t i = 0; standard_env[i] != NULL; i++)
		env[count++] = (char *)standard_env[i];
	if (has_network(zygote))
		count += cell_env_network(broker->config, (const char **)env + count);
	for (size_t i = 0; i < language->env.count; i++)
		env[count++] = language->env.item[i];
	env[count] = NULL;
	return count;
}

static void __attribute__((noreturn))
exec_interpreter(const struct broker *broker, const struct zygote *zygote)
{
	const struct language_config *language = zygote->language->config;
	const struct driver *driver = driver_find(language->driver);
	char *argv[DRIVER_ARGS + 2] = { language->interpreter };
	char *env[ENV_MAX];
	size_t count = make_env(broker, zygote, env);

	for (size_t i = 0; driver->env[i] != NULL; i++)
		env[count++] = (char *)driver->env[i];
	/* Symbols are resolved once, in the zygote, not in every guest; the driver takes this out of its environment. */
	env[count++] = (char *)"LD_BIND_NOW=1";
	env[count] = NULL;
	memcpy(argv + 1, driver->args, sizeof driver->args);
	execve(language->interpreter, argv, env);
	die("zygote: run %s in its root: %s", language->interpreter, strerror(errno));
}

/* Start the interpreter as if there were a program, and have hook.so come in where it looks for it. */
static void __attribute__((noreturn))
exec_hooked(const struct broker *broker, const struct zygote *zygote)
{
	const struct language_config *language = zygote->language->config;
	static const char *const hook_env[] = { "LD_PRELOAD=" HOOK_LIBRARY, HOOK_VARIABLE "=" HOOK_ZYGOTE, "LD_BIND_NOW=1" };
	char *argv[CONFIG_MAX_WORDS + 1] = { NULL };
	char *env[ENV_MAX];
	size_t count = make_env(broker, zygote, env);

	for (size_t i = 0; i < sizeof hook_env / sizeof hook_env[0]; i++)
		env[count++] = (char *)hook_env[i];
	env[count] = NULL;
	memcpy(argv, language->run.item, language->run.count * sizeof *argv);
	execve(argv[0], argv, env);
	die("zygote: run %s in its root: %s", argv[0], strerror(errno));
}

static void __attribute__((noreturn))
launch(const struct broker *broker, const struct zygote *zygote, bool is_spare)
{
	const struct language *language = zygote->language;
	char *env[ENV_MAX];
	struct launcher_config launcher = { .language = language->config, .version = language->version, .env = env,
		.is_spare = is_spare };

	make_env(broker, zygote, env);
	launcher_main(&launcher);
}

/* Is it the interpreter itself that forks, rather than a launcher? */
static bool
is_interpreter(const struct zygote *zygote)
{
	return zygote->language->start == START_ZYGOTE && zygote->pool / GRANT_COUNT < zygote->language->config->warm_count;
}

/* There is no /proc in its root, but it will want to know how many threads it has. `proc_fd`: /proc. */
static void
show_tasks(int proc_fd)
{
	int fd = openat(proc_fd, "self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (fd != ZYGOTE_TASKS_FD && dup2(fd, ZYGOTE_TASKS_FD) < 0) || fcntl(ZYGOTE_TASKS_FD, F_SETFD, 0) != 0)
		die("zygote: open its /proc/self/task: %s", strerror(errno));
	if (fd != ZYGOTE_TASKS_FD)
		close(fd);
	close(proc_fd);
}

/* In a child: become the zygote. */
static void __attribute__((noreturn))
become_zygote(const struct broker *broker, const struct zygote *zygote)
{
	const struct language *language = zygote->language;
	enum level level = broker->config->level;
	int out[2], null_fd;

	if (enter(level, level == LEVEL_CHROOT ? wait_for_tree(5) : 5) != 0 || chdir(PATH_BOX) != 0)
		die("zygote: enter the root: %s", strerror(errno));
	if (level == LEVEL_CHROOT) {
		show_tasks(6);
		if (capabilities_keep(ZYGOTE_CAPABILITIES) != 0)
			die("zygote: drop capabilities: %s", strerror(errno));
	}
	/* The interpreter makes its streams to suit what it finds: a run has pipes, so here is one. */
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || pipe2(out, O_CLOEXEC) != 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0)
		die("zygote: make its stdin and stdout: %s", strerror(errno));
	set_rlimits(broker->config);
	if (!is_interpreter(zygote))
		launch(broker, zygote, language->start == START_SPARE && zygote->pool / GRANT_COUNT < language->config->warm_count);
	if (language->config->driver != NULL)
		exec_interpreter(broker, zygote);
	exec_hooked(broker, zygote);
}

int
spawn_zygote(struct broker *broker, struct zygote *zygote)
{
	struct language *language = zygote->language;
	int pair[2], keep[KEEP_MAX];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("%s: start a zygote: %s", language->config->name, strerror(errno));
		return -1;
	}
	keep[0] = pair[1];
	keep[1] = language->setup_fd[zygote->pool];
	keep[2] = is_interpreter(zygote) ? language->zygote_mount_fd : language->cell_mount_fd;
	if (broker->config->level == LEVEL_CHROOT)
		keep[2] = language->trees_fd;
	keep[3] = broker->proc_fd;
	pid = fork_with(broker, has_network(zygote), keep, broker->config->level == LEVEL_CHROOT ? 4 : 3);
	if (pid == 0)
		become_zygote(broker, zygote);
	close(pair[1]);
	if (pid < 0 || event_add(broker, &zygote->report, pair[0], broker_zygote_reported) != 0) {
		log_warn("%s: start a zygote: %s", language->config->name, strerror(errno));
		close(pair[0]);
		return -1;
	}
	zygote->starting_pid = pid;
	zygote->deadline_us = clock_us() + ZYGOTE_REPORT_US;
	return 0;
}
