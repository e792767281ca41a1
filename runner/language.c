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
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "fdpass.h"
#include "log.h"
#include "orders.h"
#include "warden.h"

_Static_assert(ZYGOTE_GRANTS == GRANT_COUNT, "a last filter per combination of grants");

#define ZYGOTE_REPORT_US 30000000u
#define HUGE_PAGE_GUESTS 4 /* armed cells per zygote, from which on huge pages cost each little memory */

/* What every program of a cell finds in its environment; a language's configuration adds to it. */
static const char *const standard_env[] = {
	"HOME=" ROOTFS_BOX, "TMPDIR=" ROOTFS_TMP, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", NULL
};

/*
 * How an interpreter is started so that it loads its driver, which lies in the working directory, and how it runs the
 * driver's probe, which it reads on its stdin. Each list ends with a NULL.
 */
#define DRIVER_ARGS 3

struct driver {
	const char *name;
	const char *args[DRIVER_ARGS];
	const char *env[3];
	const char *probe;
	const char *probe_args[DRIVER_ARGS];
};

static const struct driver drivers[] = {
	{ "python3", { "-q", "-i" }, { "PYTHONSTARTUP=" ROOTFS_BOX "/driver.py" }, "probe.py", { "-I", "-" } },
	{ "nodejs", { ROOTFS_BOX "/main.js" }, { "LD_PRELOAD=" ROOTFS_BOX "/start.so", "UV_USE_IO_URING=0" }, "probe.js",
		{ "-" } },
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

/* ---- before the walls: what is the language made of? ------------------------------------------------------------ */

/* In a child: run the interpreter on the driver's probe, its answers on `out_fd`. */
static void
run_probe(const struct language_config *from, const char *driver_dir, uid_t uid, int out_fd)
{
	const struct driver *driver = find_driver(from->driver);
	char path[4096];
	char *argv[DRIVER_ARGS + 2] = { from->interpreter };
	char *env[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };
	int script_fd;

	/* The script is opened before the rights go: the folder may be private. */
	snprintf(path, sizeof path, "%s/%s/%s", driver_dir, from->driver, driver->probe);
	script_fd = open(path, O_RDONLY);
	if (script_fd < 0)
		die("%s: %s", path, strerror(errno));
	if (uid != (uid_t)-1 && (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
		die("cannot become uid %u to ask %s what it needs: %s", (unsigned)uid, from->interpreter, strerror(errno));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (dup2(script_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0)
		_exit(127);
	memcpy(argv + 1, driver->probe_args, sizeof driver->probe_args);
	execve(from->interpreter, argv, env);
	die("cannot run %s: %s", from->interpreter, strerror(errno));
}

/* Take in one line of the probe's. */
static int
take_answer(struct language *language, char *line, char *error, size_t size)
{
	char *value = strchr(line, ' ');

	if (value == NULL)
		return 0;
	*value++ = '\0';
	if (strcmp(line, "version") == 0)
		snprintf(language->version, sizeof language->version, "%s", value);
	else if (strcmp(line, "bind") == 0)
		return rootfs_add(&language->fs, value, error, size);
	return 0;
}

static int
ask_interpreter(struct language *language, const char *driver_dir, uid_t probe_uid, char *error, size_t size)
{
	const struct language_config *from = language->config;
	int out[2], status = -1, result = 0;
	char line[4096];
	FILE *answers;
	pid_t pid;

	if (access(from->interpreter, X_OK) != 0) {
		snprintf(error, size, "%s: interpreter %s: %s", from->file, from->interpreter, strerror(errno));
		return -1;
	}
	if (pipe2(out, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		snprintf(error, size, "ask %s what it needs: %s", from->interpreter, strerror(errno));
		return -1;
	}
	if (pid == 0)
		run_probe(from, driver_dir, probe_uid, out[1]);
	close(out[1]);
	answers = fdopen(out[0], "r");
	while (answers != NULL && result == 0 && fgets(line, sizeof line, answers) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		result = take_answer(language, line, error, size);
	}
	if (answers != NULL)
		fclose(answers);
	waitpid(pid, &status, 0);
	if (result == 0 && (status != 0 || language->version[0] == '\0')) {
		snprintf(error, size, "%s: interpreter %s did not say what it needs (is it the language's own?)", from->file,
		    from->interpreter);
		return -1;
	}
	return result;
}

/* Write what a zygote of warm set `warm` must know; see struct zygote_setup. Returns a descriptor or -1. */
static int
write_setup(const struct language *language, size_t warm, bool single_uid)
{
	const struct policy *policy = language->policy;
	const struct strings *imports = &language->config->warm[warm].imports;
	struct zygote_setup setup = { .magic = ZYGOTE_SETUP_MAGIC, .single_uid = single_uid,
		.base_count = (uint32_t)policy->base.count, .imports = (uint32_t)imports->count,
		.huge_pages = language->config->warm[warm].armed >= HUGE_PAGE_GUESTS * language->config->warm[warm].zygotes };
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

int
language_prepare(struct language *language, const struct config *config, const struct language_config *from,
    uid_t probe_uid, char *error, size_t size)
{
	*language = (struct language){ .config = from, .driver_tree_fd = -1, .cell_mount_fd = -1, .zygote_mount_fd = -1,
		.warden = { .sock = -1 } };
	for (size_t w = 0; w < CONFIG_MAX_WARM; w++)
		language->setup_fd[w] = -1;
	if (find_driver(from->driver) == NULL) {
		snprintf(error, size, "%s: driver \"%s\" is unknown; allowed: %s, %s", from->file, from->driver, drivers[0].name,
		    drivers[1].name);
		return -1;
	}
	language->policy = policy_load(config->policy_dir, from->policy, error, size);
	if (language->policy != NULL && (language->policy->base.count == 0 || language->policy->last[0].count == 0)) {
		snprintf(error, size, "%s/%s.conf: allows no call, or takes none away from guests: not a policy for a language",
		    config->policy_dir, from->policy);
		return -1;
	}
	if (language->policy == NULL || rootfs_init(&language->fs, error, size) != 0 ||
	    ask_interpreter(language, config->driver_dir, probe_uid, error, size) != 0)
		return -1;
	for (size_t i = 0; i < from->root.count; i++) {
		const char *path = from->root.item[i];

		if (path[0] == '?' && access(++path, F_OK) != 0)
			continue;
		if (rootfs_add(&language->fs, path, error, size) != 0)
			return -1;
	}
	for (size_t w = 0; w < from->warm_count; w++)
		language->zygote_count += from->warm[w].zygotes;
	language->zygote = calloc(language->zygote_count, sizeof *language->zygote);
	if (language->zygote == NULL) {
		snprintf(error, size, "out of memory");
		return -1;
	}
	for (size_t w = 0, z = 0; w < from->warm_count; w++) {
		for (uint32_t i = 0; i < from->warm[w].zygotes; i++, z++)
			language->zygote[z] = (struct zygote){ .language = language, .number = (uint32_t)z, .warm = (uint32_t)w,
				.report = { .fd = -1 } };
	}
	return 0;
}

int
language_open(struct language *language, const struct config *config, char *error, size_t size)
{
	char path[4096];

	if (rootfs_open(&language->fs, error, size) != 0)
		return -1;
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

int
language_build(struct language *language, int proc_fd, bool single_uid, char *error, size_t size)
{
	if (unshare(CLONE_NEWNS) != 0) {
		snprintf(error, size, "make a mount namespace: %s", strerror(errno));
		return -1;
	}
	if (rootfs_enter(&language->fs, error, size) != 0)
		return -1;
	language->cell_mount_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	/* The zygotes' root has the driver where a run has its working directory, so no path of it is left in a cell. */
	if (language->cell_mount_fd < 0 || unshare(CLONE_NEWNS) != 0 ||
	    rootfs_attach(language->driver_tree_fd, ROOTFS_BOX) != 0 ||
	    (language->zygote_mount_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC)) < 0) {
		snprintf(error, size, "make the zygotes' root: %s", strerror(errno));
		return -1;
	}
	close(language->driver_tree_fd);
	language->driver_tree_fd = -1;
	for (size_t w = 0; w < language->config->warm_count; w++) {
		language->setup_fd[w] = write_setup(language, w, single_uid);
		if (language->setup_fd[w] < 0) {
			snprintf(error, size, "write a zygote's setup: %s", strerror(errno));
			return -1;
		}
	}
	return 0;
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
	return 0;
}

int
language_start_warden(struct broker *broker, struct language *language)
{
	const struct config *config = broker->config;
	struct warden_config settings = { .cells = config->cells, .zygotes = (uint32_t)language->zygote_count,
		.inodes = config->inodes, .disk_bytes = language->config->limits.standard.disk_bytes,
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

/* The rlimits of a guest, set in its zygote and inherited. Address space and CPU time are limited elsewhere. */
static void
set_rlimits(const struct config *config)
{
	const struct {
		int resource;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_CORE, 0 }, { RLIMIT_MEMLOCK, 64 << 10 }, { RLIMIT_MSGQUEUE, 0 }, { RLIMIT_NICE, 0 },
		{ RLIMIT_NOFILE, config->open_files }, { RLIMIT_RTPRIO, 0 }, { RLIMIT_SIGPENDING, 1024 },
		{ RLIMIT_STACK, 8 << 20 },
	};

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct rlimit both = { limits[i].value, limits[i].value };

		if (setrlimit((__rlimit_resource_t)limits[i].resource, &both) != 0)
			die("zygote: set rlimit %d: %s", limits[i].resource, strerror(errno));
	}
}

/* In a child: become the zygote. */
static void
exec_zygote(const struct broker *broker, const struct zygote *zygote)
{
	const struct language_config *language = zygote->language->config;
	const struct driver *driver = find_driver(language->driver);
	char *argv[DRIVER_ARGS + 2] = { language->interpreter };
	char *env[64];
	size_t count = 0;
	int out[2], null_fd;

	if (setns(5, CLONE_NEWNS) != 0 || chdir(ROOTFS_BOX) != 0)
		die("zygote: enter the root: %s", strerror(errno));
	close(5);
	/* The interpreter makes its streams to suit what it finds: a run has pipes, so here is one. */
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || pipe2(out, O_CLOEXEC) != 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0)
		die("zygote: make its stdin and stdout: %s", strerror(errno));
	set_rlimits(broker->config);
	for (size_t i = 0; standard_env[i] != NULL; i++)
		env[count++] = (char *)standard_env[i];
	for (size_t i = 0; i < language->env.count && count < 56; i++)
		env[count++] = language->env.item[i];
	for (size_t i = 0; driver->env[i] != NULL; i++)
		env[count++] = (char *)driver->env[i];
	/* Symbols are resolved once, in the zygote, not in every guest; the driver takes this out of its environment. */
	env[count++] = (char *)"LD_BIND_NOW=1";
	env[count] = NULL;
	memcpy(argv + 1, driver->args, sizeof driver->args);
	execve(language->interpreter, argv, env);
	die("zygote: run %s in its root: %s", language->interpreter, strerror(errno));
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
	keep[1] = language->setup_fd[zygote->warm];
	keep[2] = language->zygote_mount_fd;
	pid = fork_with(keep, 3);
	if (pid == 0)
		exec_zygote(broker, zygote);
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
