/* language.c - see language.h. */
#define _GNU_SOURCE
#include "language.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker.h"
#include "fdpass.h"
#include "launcher.h"
#include "log.h"
#include "orders.h"
#include "probe.h"
#include "hook.h"
#include "warden.h"

_Static_assert(ZYGOTE_GRANTS == GRANT_COUNT, "a last filter per combination of grants");

#define ZYGOTE_REPORT_US 30000000u
#define HUGE_PAGE_GUESTS 4 /* armed cells per zygote, from which on huge pages cost each little memory */

/* What every program of a cell finds in its environment; a language's configuration adds to it. */
static const char *const standard_env[] = {
	"HOME=" ROOTFS_BOX, "TMPDIR=" ROOTFS_TMP, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", NULL
};

#define ENV_MAX 72 /* variables: the standard ones, the configured ones, and a driver's */

/* How an interpreter is asked what it needs, and started so that it loads its driver, which lies in the working directory. */
#define DRIVER_ARGS 3

struct driver {
	const char *name;
	const char *probe_option;
	const char *probe;
	const char *args[DRIVER_ARGS];
	const char *env;
};

static const struct driver drivers[] = {
	{ "python3", "-I", "probe.py", { "-q", "-i" }, "PYTHONSTARTUP=" ROOTFS_BOX "/driver.py" },
};

static const struct driver *
find_driver(const char *name)
{
	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
		if (strcmp(drivers[i].name, name) == 0)
			return &drivers[i];
	}
	return NULL;
}

/* ---- before the walls --------------------------------------------------------------------------------------------- */

/* Write what a zygote of pool `pool` must know; see struct zygote_setup. Returns a descriptor or -1. */
static int
write_setup(const struct language *language, size_t pool, bool single_uid)
{
	const struct policy *policy = language->policy;
	static const struct warm_set nothing;
	const struct warm_set *set = pool < language->config->warm_count ? &language->config->warm[pool] : &nothing;
	const struct strings *imports = &set->imports;
	struct zygote_setup setup = { .magic = ZYGOTE_SETUP_MAGIC, .single_uid = single_uid,
		.base_count = (uint32_t)policy->base.count, .imports = (uint32_t)imports->count,
		.huge_pages = set->armed >= HUGE_PAGE_GUESTS * set->zygotes };
	FILE *file;
	int fd = memfd_create("zygote", MFD_CLOEXEC);

	if (fd < 0 || (file = fdopen(dup(fd), "w")) == NULL)
		return -1;
	snprintf(setup.main_file, sizeof setup.main_file, "%s", language->config->main_file);
	for (size_t g = 0; g < GRANT_COUNT; g++)
		setup.last_count[g] = (uint32_t)policy->last[g].count;
	for (size_t i = 0; i < imports->count; i++)
		setup.imports_bytes += (uint32_t)strlen(imports->item[i]) + 1;
	fwrite(&setup, sizeof setup, 1, file);
	fwrite(policy->base.code, sizeof *policy->base.code, policy->base.count, file);
	for (size_t g = 0; g < GRANT_COUNT; g++)
		if (policy->last[g].count > 0)
			fwrite(policy->last[g].code, sizeof *policy->last[g].code, policy->last[g].count, file);
	for (size_t i = 0; i < imports->count; i++)
		fwrite(imports->item[i], strlen(imports->item[i]) + 1, 1, file);
	if (fclose(file) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* What a program of the language is started with: is it there? */
static int
add_program(struct rootfs *fs, const char *path, char *error, size_t size)
{
	if (access(path, X_OK) != 0) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return -1;
	}
	return rootfs_add(fs, path, error, size);
}

/* Look up all that is bound into the root, and the version. Returns 0, or -1 with a text: the language is missing. */
static int
look_up(struct language *language, const char *driver_dir, uid_t probe_uid, char *error, size_t size)
{
	const struct language_config *from = language->config;
	struct rootfs *fs = &language->fs;
	char path[4096];

	if ((from->interpreter != NULL && add_program(fs, from->interpreter, error, size) != 0) ||
	    (from->run.count > 0 && add_program(fs, from->run.item[0], error, size) != 0) ||
	    (config_is_compiled(from) && add_program(fs, from->compile.command.item[0], error, size) != 0))
		return -1;
	for (size_t i = 0; i < from->root.count; i++) {
		const char *bound = from->root.item[i];

		if (bound[0] == '?' && access(++bound, F_OK) != 0)
			continue;
		if (rootfs_add(fs, bound, error, size) != 0)
			return -1;
	}
	if (from->driver != NULL) {
		const struct driver *driver = find_driver(from->driver);

		snprintf(path, sizeof path, "%s/%s/%s", driver_dir, driver->name, driver->probe);
		if (probe_interpreter(from->interpreter, driver->probe_option, path, probe_uid, fs, language->version, error,
		    size) != 0)
			return -1;
	} else if (probe_version(&from->version, probe_uid, language->version, error, size) != 0) {
		return -1;
	}
	if (from->start != START_COLD && from->run.count > 0) {
		snprintf(path, sizeof path, "%s/hook/hook.so", driver_dir);
		return rootfs_add_at(fs, HOOK_LIBRARY, path, error, size);
	}
	return 0;
}

/* How many zygotes make the cells of a pool. */
static uint32_t
zygotes_of(const struct language_config *from, uint32_t pool)
{
	return pool < from->warm_count ? from->warm[pool].zygotes : 1;
}

int
language_prepare(struct language *language, const struct config *config, const struct language_config *from,
    uid_t probe_uid, char *error, size_t size)
{
	*language = (struct language){ .config = from, .start = from->start, .is_awake = from->idle_s == 0,
		.driver_tree_fd = -1, .cell_mount_fd = -1, .zygote_mount_fd = -1, .root_fd = -1, .warden = { .sock = -1 } };
	for (size_t pool = 0; pool < LANGUAGE_POOLS; pool++)
		language->setup_fd[pool] = -1;
	if (from->driver != NULL && find_driver(from->driver) == NULL) {
		snprintf(error, size, "%s: driver \"%s\" is unknown; allowed: %s", from->file, from->driver, drivers[0].name);
		return -1;
	}
	language->policy = policy_load(config->policy_dir, from->policy, error, size);
	if (language->policy != NULL && (language->policy->base.count == 0 || language->policy->last[0].count == 0)) {
		snprintf(error, size, "%s/%s.conf: allows no call, or takes none away from guests: not a policy for a language",
		    config->policy_dir, from->policy);
		return -1;
	}
	if (language->policy == NULL || rootfs_init(&language->fs, error, size) != 0)
		return -1;
	if (look_up(language, config->driver_dir, probe_uid, language->reason, sizeof language->reason) != 0) {
		language->is_missing = true;
		language->is_awake = false;
		log_warn("%s is not available: %s", from->name, language->reason);
		return 0;
	}
	language->pool_count = (uint32_t)from->warm_count + (from->start != START_COLD && from->run.count > 0);
	for (uint32_t pool = 0; pool < language->pool_count; pool++)
		language->zygote_count += zygotes_of(from, pool);
	language->zygote = calloc(language->zygote_count, sizeof *language->zygote);
	if (language->zygote == NULL) {
		snprintf(error, size, "out of memory");
		return -1;
	}
	for (uint32_t pool = 0, z = 0; pool < language->pool_count; pool++) {
		for (uint32_t i = 0; i < zygotes_of(from, pool); i++, z++)
			language->zygote[z] = (struct zygote){ .language = language, .number = z, .pool = pool,
				.report = { .fd = -1 } };
	}
	return 0;
}

int
language_open(struct language *language, const struct config *config, char *error, size_t size)
{
	char path[4096];

	if (language->is_missing)
		return 0;
	if (rootfs_open(&language->fs, error, size) != 0)
		return -1;
	if (language->config->driver == NULL)
		return 0;
	snprintf(path, sizeof path, "%s/%s", config->driver_dir, language->config->driver);
	language->driver_tree_fd = rootfs_clone(path, error, size);
	return language->driver_tree_fd < 0 ? -1 : 0;
}

void
language_free(struct language *language)
{
	policy_free(language->policy);
	rootfs_free(&language->fs);
	free(language->zygote);
}

/* ---- the root --------------------------------------------------------------------------------------------------- */

/*
 * The root of the zygotes is that of the cells, with something where a run has its working directory: the driver, so that
 * no path of it is left in a cell; or for hook.so an empty main file, for interpreters that look before they open.
 */
static int
build_zygotes_root(struct language *language, int proc_fd)
{
	int main_fd;

	if (unshare(CLONE_NEWNS) != 0)
		return -1;
	if (language->driver_tree_fd >= 0) {
		if (rootfs_attach(language->driver_tree_fd, ROOTFS_BOX) != 0)
			return -1;
	} else {
		if (mount("zygote", ROOTFS_BOX, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") != 0 ||
		    chdir(ROOTFS_BOX) != 0 || (main_fd = open(language->config->main_file, O_CREAT | O_CLOEXEC, 0644)) < 0)
			return -1;
		close(main_fd);
	}
	language->zygote_mount_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return language->zygote_mount_fd < 0 || chdir("/") != 0 ? -1 : 0;
}

int
language_build(struct language *language, int proc_fd, bool single_uid, char *error, size_t size)
{
	if (language->is_missing)
		return 0;
	if (unshare(CLONE_NEWNS) != 0) {
		snprintf(error, size, "make a mount namespace: %s", strerror(errno));
		return -1;
	}
	if (rootfs_enter(&language->fs, error, size) != 0)
		return -1;
	language->cell_mount_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (language->cell_mount_fd < 0 ||
	    (config_is_compiled(language->config) &&
	    (language->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)) {
		snprintf(error, size, "keep the root: %s", strerror(errno));
		return -1;
	}
	if (language->start == START_ZYGOTE && build_zygotes_root(language, proc_fd) != 0) {
		snprintf(error, size, "make the zygotes' root: %s", strerror(errno));
		return -1;
	}
	fdpass_close(&language->driver_tree_fd, 1);
	for (uint32_t pool = 0; pool < language->pool_count; pool++) {
		language->setup_fd[pool] = write_setup(language, pool, single_uid);
		if (language->setup_fd[pool] < 0) {
			snprintf(error, size, "write a zygote's setup: %s", strerror(errno));
			return -1;
		}
	}
	return 0;
}

/* ---- pools ------------------------------------------------------------------------------------------------------ */

/* Does the interpreter take only what it is given when it starts, and does it start ahead? */
static bool
starts_ahead(const struct language *language)
{
	return language->start == START_SPARE || (language->start == START_ZYGOTE && language->config->driver == NULL);
}

uint32_t
language_armed(const struct language *language, uint32_t pool)
{
	return pool < language->config->warm_count ? language->config->warm[pool].armed : 0;
}

uint32_t
language_pool(const struct language *language, uint32_t warm, uint32_t flags)
{
	return (flags & RUN_ARGUED) != 0 && starts_ahead(language) ? language->pool_count - 1 : warm;
}

/* ---- awake and asleep ------------------------------------------------------------------------------------------- */

void
language_wake(struct broker *broker, struct language *language)
{
	language->used_us = clock_us();
	if (language->is_awake)
		return;
	language->is_awake = true;
	broker_wake_at(broker, 0);
}

void
language_sleep(struct language *language)
{
	language->is_awake = false;
	/* The warden ends when its socket closes, its zygotes when theirs do, and nobody waits for them by name. */
	for (size_t z = 0; z < language->zygote_count; z++)
		language->zygote[z].pid = 0;
	language->warden.pid = 0;
	if (language->warden.sock >= 0)
		close(language->warden.sock);
	language->warden.sock = -1;
}

/* ---- warden and zygotes ----------------------------------------------------------------------------------------- */

/* Fork a child that keeps `keep` as descriptor 3 onward and our stderr, and nothing else. 0 in the child. */
static pid_t
fork_with(const int *keep, size_t count)
{
	pid_t pid = fork();
	sigset_t none;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Two steps: a descriptor may stand where another has to go. */
	for (size_t i = 0; i < count; i++) {
		int high = fcntl(keep[i], F_DUPFD, 64 + (int)count);

		if (high < 0 || dup2(high, 64 + (int)i) < 0)
			die("pass descriptors on: %s", strerror(errno));
	}
	for (size_t i = 0; i < count; i++) {
		if (dup2(64 + (int)i, 3 + (int)i) < 0)
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

int
language_start_warden(struct broker *broker, struct language *language)
{
	const struct config *config = broker->config;
	struct warden_config settings = { .cells = config->cells, .zygotes = (uint32_t)language->zygote_count,
		.inodes = config->inodes, .disk_bytes = language->config->limits.standard.disk_bytes,
		.output = language->config->compile.output, .output_bytes = language->config->compile.limits.disk_bytes,
		.single_uid = broker->single_uid };
	int pair[2], keep[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("%s: start the warden: %s", language->config->name, strerror(errno));
		return -1;
	}
	keep[0] = pair[1];
	keep[1] = language->cell_mount_fd;
	pid = fork_with(keep, 2);
	if (pid == 0) {
		if (setns(4, CLONE_NEWNS) != 0 || chdir("/") != 0)
			die("warden: enter the root: %s", strerror(errno));
		close(4);
		warden_main(3, &settings);
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

/* The environment of the language's programs, in `env`, which has room for ENV_MAX. Returns how many there are. */
static size_t
make_env(const struct language_config *language, char **env)
{
	size_t count = 0;

	for (size_t i = 0; standard_env[i] != NULL; i++)
		env[count++] = (char *)standard_env[i];
	for (size_t i = 0; i < language->env.count; i++)
		env[count++] = language->env.item[i];
	env[count] = NULL;
	return count;
}

static void __attribute__((noreturn))
exec_interpreter(const struct language_config *language)
{
	const struct driver *driver = find_driver(language->driver);
	char *argv[DRIVER_ARGS + 2] = { language->interpreter };
	char *env[ENV_MAX];
	size_t count = make_env(language, env);

	env[count++] = (char *)driver->env;
	/* Symbols are resolved once, in the zygote, not in every guest; the driver takes this out of its environment. */
	env[count++] = (char *)"LD_BIND_NOW=1";
	env[count] = NULL;
	memcpy(argv + 1, driver->args, sizeof driver->args);
	execve(language->interpreter, argv, env);
	die("zygote: run %s in its root: %s", language->interpreter, strerror(errno));
}

/* Start the interpreter as if there were a program, and have hook.so come in where it looks for it. */
static void __attribute__((noreturn))
exec_hooked(const struct language_config *language)
{
	static const char *const hook_env[] = { "LD_PRELOAD=" HOOK_LIBRARY, HOOK_VARIABLE "=" HOOK_ZYGOTE, "LD_BIND_NOW=1" };
	char *argv[CONFIG_MAX_WORDS + 1] = { NULL };
	char *env[ENV_MAX];
	size_t count = make_env(language, env);

	for (size_t i = 0; i < sizeof hook_env / sizeof hook_env[0]; i++)
		env[count++] = (char *)hook_env[i];
	env[count] = NULL;
	memcpy(argv, language->run.item, language->run.count * sizeof *argv);
	execve(argv[0], argv, env);
	die("zygote: run %s in its root: %s", argv[0], strerror(errno));
}

static void __attribute__((noreturn))
launch(const struct language *language, bool is_spare)
{
	char *env[ENV_MAX];
	struct launcher_config launcher = { .language = language->config, .version = language->version, .env = env,
		.is_spare = is_spare };

	make_env(language->config, env);
	launcher_main(&launcher);
}

/* Is it the interpreter itself that forks, rather than a launcher? */
static bool
is_interpreter(const struct zygote *zygote)
{
	return zygote->language->start == START_ZYGOTE && zygote->pool < zygote->language->config->warm_count;
}

/* In a child: become the zygote. */
static void __attribute__((noreturn))
become_zygote(const struct broker *broker, const struct zygote *zygote)
{
	const struct language *language = zygote->language;
	int out[2], null_fd;

	if (setns(5, CLONE_NEWNS) != 0 || chdir(ROOTFS_BOX) != 0)
		die("zygote: enter the root: %s", strerror(errno));
	close(5);
	/* The interpreter makes its streams to suit what it finds: a run has pipes, so here is one. */
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || pipe2(out, O_CLOEXEC) != 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0)
		die("zygote: make its stdin and stdout: %s", strerror(errno));
	set_rlimits(broker->config);
	if (!is_interpreter(zygote))
		launch(language, language->start == START_SPARE && zygote->pool < language->config->warm_count);
	if (language->config->driver != NULL)
		exec_interpreter(language->config);
	exec_hooked(language->config);
}

int
language_start_zygote(struct broker *broker, struct zygote *zygote)
{
	struct language *language = zygote->language;
	int pair[2], keep[3];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("%s: start a zygote: %s", language->config->name, strerror(errno));
		return -1;
	}
	keep[0] = pair[1];
	keep[1] = language->setup_fd[zygote->pool];
	keep[2] = is_interpreter(zygote) ? language->zygote_mount_fd : language->cell_mount_fd;
	pid = fork_with(keep, 3);
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
