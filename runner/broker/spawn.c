/*
 * spawn.c - see spawn.h. Runs in the broker, and in its children until they are a warden or zygote.
 */
#define _GNU_SOURCE
#include "broker/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell_env.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "driver.h"
#include "guest/hook.h"
#include "guest/launcher.h"
#include "kernel/inherit_fds.h"
#include "log.h"
#include "messages.h"
#include "warden/warden.h"
#include "paths.h"
#include "process_title.h"

/*
 * The environment of every program in a cell. The configuration of a language adds to it. The
 * search for leaks of AddressSanitizer traces the program. That is denied here, and would end it.
 */
static const char *const standard_env[] = { "HOME=" PATH_BOX, "TMPDIR=" PATH_TMP, "PATH=/usr/local/bin:/usr/bin:/bin",
	"LANG=C.UTF-8", "USER=" CELL_USER, "LOGNAME=" CELL_USER, "SHELL=" CELL_SHELL, "LSAN_OPTIONS=detect_leaks=0", NULL };

#define ENV_MAX (77 + CELL_ENV_NETWORK_MAX) /* variables: the standard ones, the configured ones, a driver's, and a network's */

#define KEEP_MAX (3 + ISOLATION_FDS)
#define ZYGOTE_STACK_BYTES (UINT64_C(8) << 20)

static void
close_but_errno(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
}

/*
 * Fork a child that has `keep` as its descriptors from 3 on, and stdin, stdout and stderr. At level
 * namespaces it leaves this process's network namespace, where sockets of the runner are, or those
 * of the host; unless it is to have a network. Returns like fork.
 */
static pid_t
fork_with(const struct broker *broker, bool has_network, const int *keep, size_t count)
{
	pid_t pid = fork();
	sigset_t none;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (broker->no_network_fd >= 0 && !has_network && setns(broker->no_network_fd, CLONE_NEWNET) != 0)
		die("leave the runner's network namespace: %s", strerror(errno));
	if (inherit_fds_only(keep, count, false) != 0)
		die("pass descriptors on: %s", strerror(errno));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/*
	 * Programs find the dispositions that are usual, whatever the runner ignores or has
	 * inherited.
	 */
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	return 0;
}

pid_t
spawn_warden(const struct broker *broker, const struct language *language, int *sock)
{
	const struct config *config = broker->config;
	const struct language_config *from = language->config;
	struct warden_config settings = { .cells = config->cells,
		.zygotes = (uint32_t)language->zygote_count,
		.inodes = from->limits.default_.inodes,
		.disk_bytes = from->limits.default_.disk_bytes,
		.output = from->compile.output,
		.output_bytes = from->compile.limits.disk_bytes,
		.has_proc = broker->proc_files_fd >= 0,
		.last_pid_fd = -1,
		.single_uid = broker->single_uid,
		.zygote_landlock = broker->zygote_landlock,
		.collector_policy = &broker->collector_policy->base[0],
		.collector_landlock = broker->landlock_abi,
		.collect_bytes = config_collected_most(config),
		.first_uid = config->first_uid + 1 };
	int pair[2], keep[KEEP_MAX];
	size_t count = 0;
	pid_t pid;

	if (config_is_compiled(from)) {
		/*
		 * A command may be a shell that starts the compiler; the command for the version is
		 * the compiler's own.
		 */
		settings.compiler[0] = from->compile.command.item[0];
		settings.compiler[1] = from->version.item[0];
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	keep[count++] = pair[1];
	count += broker->isolation->root_fds(broker, language, false, keep + count);
	if (broker->last_pid_fd >= 0) {
		settings.last_pid_fd = INHERIT_FDS_FIRST + (int)count;
		keep[count++] = broker->last_pid_fd;
	}
	pid = fork_with(broker, false, keep, count);
	if (pid == 0) {
		process_title_set("warden %s", from->name);
		broker->isolation->be_warden(broker, language, &settings, INHERIT_FDS_FIRST, INHERIT_FDS_FIRST + 1);
	}
	close_but_errno(pair[1]);
	if (pid < 0)
		close_but_errno(pair[0]);
	*sock = pid < 0 ? -1 : pair[0];
	return pid;
}

/* The most that a run or a compilation of the language may ask for. */
static rlim_t
most_of(const struct language_config *language, uint64_t run_most, uint64_t compile_most)
{
	return config_is_compiled(language) && compile_most > run_most ? compile_most : run_most;
}

/*
 * The rlimits of a guest, set in its zygote and inherited. Address space and CPU time are limited
 * elsewhere. A guest lowers the last two to those of its run; an interpreter that looks at them as
 * it starts sees the defaults. A core limit of 0 stops core files, but not core dumps that are
 * piped to a helper of the host; 1 stops both. See core(5).
 */
static void
set_rlimits(const struct language_config *language)
{
	const struct run_limits *usual = &language->limits.default_, *most = &language->limits.maximum;
	const struct run_limits *compiler = &language->compile.limits;
	/* libc makes the stacks of threads as large as this, so it is not that of a run. */
	rlim_t stack_bytes = usual->stack_bytes != 0 ? usual->stack_bytes : ZYGOTE_STACK_BYTES;
	const struct {
		int resource;
		rlim_t value, most;
	} limits[] = { { RLIMIT_CORE, 1, 1 }, { RLIMIT_MEMLOCK, 64 << 10, 64 << 10 }, { RLIMIT_MSGQUEUE, 0, 0 },
		{ RLIMIT_NICE, 0, 0 }, { RLIMIT_RTPRIO, 0, 0 }, { RLIMIT_SIGPENDING, 1024, 1024 },
		{ RLIMIT_NOFILE, usual->open_files, most_of(language, most->open_files, compiler->open_files) },
		{ RLIMIT_STACK, stack_bytes, most_of(language, most->stack_bytes, compiler->stack_bytes) } };

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct rlimit both = { limits[i].value, limits[i].most };

		if (setrlimit((__rlimit_resource_t)limits[i].resource, &both) != 0)
			die("zygote: set rlimit %d: %s", limits[i].resource, strerror(errno));
	}
}

static bool
has_network(const struct zygote *zygote)
{
	return (zygote->pool % GRANT_COUNT & GRANT_NETWORK) != 0;
}

/*
 * The environment of the zygote's programs, in `env`, which has room for ENV_MAX. Returns the
 * number of variables.
 */
static size_t
make_env(const struct broker *broker, const struct zygote *zygote, char **env)
{
	const struct language_config *language = zygote->language->config;
	static char processors[32];
	size_t count = 0;

	for (size_t i = 0; standard_env[i] != NULL; i++)
		env[count++] = (char *)standard_env[i];
	/*
	 * The scheduler may use any processor for a cell, but only for so much time: nproc(1) and
	 * numeric libraries take their number of threads from here.
	 */
	if (broker->processors != 0) {
		snprintf(processors, sizeof processors, "OMP_NUM_THREADS=%u", broker->processors);
		env[count++] = processors;
	}
	if (has_network(zygote))
		count += cell_env_network(broker->config, (const char **)env + count);
	for (size_t i = 0; i < language->env.count; i++)
		env[count++] = language->env.item[i];
	env[count] = NULL;
	return count;
}

/* A copy of a driver's last argument, as long as `wanted` if it can be. */
static char *
filled(const struct driver *driver, const char *arg, const char *wanted)
{
	size_t size = strlen(arg), length = strlen(wanted);
	char *copy = malloc((size > length ? size : length) + 1);

	if (copy == NULL)
		die("out of memory");
	strcpy(copy, arg);
	if (driver->filler != '\0' && size < length) {
		memset(copy + size, driver->filler, length - size);
		copy[length] = '\0';
	}
	return copy;
}

static void __attribute__((noreturn)) exec_interpreter(const struct broker *broker, const struct zygote *zygote)
{
	const char *interpreter = zygote->language->interpreter;
	const struct driver *driver = driver_find(zygote->language->config->driver);
	char *argv[DRIVER_ARGS + 2] = { (char *)interpreter };
	char *env[ENV_MAX], *resolved = realpath(interpreter, NULL), *origin;
	size_t count = 0, args = 0;

	/*
	 * Symbols are resolved once, in the zygote, not in every guest. First: the driver unsets
	 * it, and the title of the process gets the room (process_title.c).
	 */
	env[count++] = (char *)"LD_BIND_NOW=1";
	/*
	 * The loader finds $ORIGIN, below which many a Python has its library, by /proc, which a
	 * zygote has not. The driver unsets this, too.
	 */
	if (resolved != NULL && asprintf(&origin, "LD_ORIGIN_PATH=%s", dirname(resolved)) > 0)
		env[count++] = origin;
	count += make_env(broker, zygote, env + count);
	for (size_t i = 0; driver->env[i] != NULL; i++)
		env[count++] = (char *)driver->env[i];
	env[count] = NULL;
	for (; driver->args[args] != NULL; args++)
		argv[args + 1] = (char *)driver->args[args];
	argv[args] = filled(driver, argv[args], zygote->language->config->main_file);
	execve(interpreter, argv, env);
	die("zygote: run %s in its root: %s", interpreter, strerror(errno));
}

/*
 * Start the interpreter as if there were a program. hook.so intercepts the call that opens the
 * program.
 */
static void __attribute__((noreturn)) exec_hooked(const struct broker *broker, const struct zygote *zygote)
{
	const struct language_config *language = zygote->language->config;
	static const char *const hook_env[] = { "LD_PRELOAD=" HOOK_LIBRARY, HOOK_VARIABLE "=" HOOK_ZYGOTE, "LD_BIND_NOW=1" };
	char *argv[CONFIG_MAX_WORDS + 1] = { NULL };
	char *env[ENV_MAX];
	size_t count = sizeof hook_env / sizeof hook_env[0];

	/*
	 * First: the hook unsets these, and the title of the process gets the room
	 * (process_title.c).
	 */
	for (size_t i = 0; i < count; i++)
		env[i] = (char *)hook_env[i];
	make_env(broker, zygote, env + count);
	memcpy(argv, language->run.item, language->run.count * sizeof *argv);
	execve(argv[0], argv, env);
	die("zygote: run %s in its root: %s", argv[0], strerror(errno));
}

static void __attribute__((noreturn)) launch(const struct broker *broker, const struct zygote *zygote, bool is_spare)
{
	const struct language *language = zygote->language;
	char *env[ENV_MAX];
	struct launcher_config launcher = { .language = language->config,
		.version = language->version,
		.env = env,
		.processors = broker->processors != 0 ? broker->processors : broker->own_processors,
		.is_spare = is_spare };

	make_env(broker, zygote, env);
	launcher_main(&launcher);
}

/* Whether the interpreter itself forks the guests, rather than a launcher. */
static bool
is_interpreter(const struct zygote *zygote)
{
	return zygote->language->start == START_ZYGOTE && zygote->pool / GRANT_COUNT < zygote->language->config->warm_count;
}

/* In a child: become the zygote. */
static void __attribute__((noreturn)) become_zygote(const struct broker *broker, const struct zygote *zygote)
{
	const struct language *language = zygote->language;
	int in[2], out[2];

	broker->isolation->enter_root(ZYGOTE_SETUP_FD + 1);
	if (chdir(PATH_BOX) != 0)
		die("zygote: enter " PATH_BOX ": %s", strerror(errno));
	/*
	 * The interpreter makes its streams to suit what it finds: a run has pipes, so here are
	 * two. Nothing is in the first, and nobody can write to it.
	 */
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || dup2(in[0], STDIN_FILENO) < 0 ||
	    dup2(out[1], STDOUT_FILENO) < 0 || close(in[1]) != 0)
		die("zygote: make its stdin and stdout: %s", strerror(errno));
	set_rlimits(language->config);
	if (!is_interpreter(zygote))
		launch(broker, zygote,
		    language->start == START_SPARE && zygote->pool / GRANT_COUNT < language->config->warm_count);
	if (language->config->driver != NULL)
		exec_interpreter(broker, zygote);
	exec_hooked(broker, zygote);
}

pid_t
spawn_zygote(const struct broker *broker, const struct zygote *zygote, int *report_fd)
{
	const struct language *language = zygote->language;
	int pair[2], keep[KEEP_MAX];
	size_t count = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	keep[count++] = pair[1];
	keep[count++] = language->setup_fd[zygote->pool];
	count += broker->isolation->root_fds(broker, language, is_interpreter(zygote), keep + count);
	pid = fork_with(broker, has_network(zygote), keep, count);
	if (pid == 0)
		become_zygote(broker, zygote);
	close_but_errno(pair[1]);
	if (pid < 0)
		close_but_errno(pair[0]);
	*report_fd = pid < 0 ? -1 : pair[0];
	return pid;
}
