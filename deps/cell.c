/* cell.c - see cell.h. */
#define _GNU_SOURCE
#include "cell.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "config_dependencies.h"
#include "log.h"
#include "memory.h"
#include "set.h"
#include "units.h"

#define BUBBLEWRAP "/usr/bin/bwrap"
#define LOOK_MS 100  /* from one look at the memory of an installer to the next */
#define SIZE_LOOKS 5 /* the size of the set is looked at each time after so many */
#define OPEN_FILES 4096
#define PROCESSES 4096 /* of the user that installs */
#define PATH_VARIABLE "/usr/local/bin:/usr/bin:/bin"

/* The directories of programs, and the files of /etc, that every cell has if the host has them. */
static const char *const system_paths[] = {
	"/usr",
	"/etc/alternatives",
	"/etc/ld.so.cache",
	"/etc/ld.so.conf",
	"/etc/ld.so.conf.d",
	"/etc/localtime",
	"/etc/ssl/certs",
	"/etc/ssl/openssl.cnf",
	"/etc/ca-certificates",
	"/etc/npm",
};
static const char *const system_links[] = { "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin" };
/* Those that name hosts. */
static const char *const network_paths[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf" };

void
words_add(struct words *words, const char *format, ...)
{
	va_list args;
	int n;

	if (words->count >= CELL_WORDS)
		die("a command of an installer has more than %d words", CELL_WORDS);
	va_start(args, format);
	n = vasprintf(&words->word[words->count++], format, args);
	va_end(args);
	if (n < 0)
		die("out of memory");
	words->word[words->count] = NULL;
}

void
words_free(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->word[i]);
	*words = (struct words){ .count = 0 };
}

static void
add_three(struct words *words, const char *option, const char *a, const char *b)
{
	words_add(words, "%s", option);
	words_add(words, "%s", a);
	words_add(words, "%s", b);
}

/* Show a path of the host, read-only, if it is there. */
static void
show(struct words *words, const char *path)
{
	add_three(words, "--ro-bind-try", path, path);
}

/*
 * A directory of the host's root that is a symbolic link there is one in the cell. Debian's are:
 * /bin is a link to usr/bin.
 */
static void
show_link(struct words *words, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof target - 1);

	if (n < 0) {
		show(words, path);
		return;
	}
	target[n] = '\0';
	add_three(words, "--symlink", target, path);
}

/* Show an interpreter that is not below /usr: the directory above its bin/. */
static void
show_interpreter(struct words *words, const char *interpreter)
{
	char resolved[PATH_MAX], *home;

	if (realpath(interpreter, resolved) == NULL || strncmp(resolved, "/usr/", 5) == 0)
		return;
	home = dirname(dirname(resolved));
	if (strcmp(home, "/") != 0)
		show(words, home);
}

static bool
has_bubblewrap(const struct config *config)
{
	return config->dependencies.cell == LAYER_REQUIRED ||
	    (config->dependencies.cell == LAYER_OPTIONAL && access(BUBBLEWRAP, X_OK) == 0);
}

const char *
cell_place(const struct cell *cell, char place[CELL_PLACE_SIZE])
{
	if (has_bubblewrap(cell->config))
		snprintf(place, CELL_PLACE_SIZE, PACKAGES_PLACE "/%s", cell->language->name);
	else
		snprintf(place, CELL_PLACE_SIZE, "%s", cell->set);
	return place;
}

static void
add_bubblewrap(const struct cell *cell, struct words *words)
{
	const struct dependencies_config *from = &cell->config->dependencies;
	char place[CELL_PLACE_SIZE];
	bool has_network = cell->is_building && from->network == BUILD_NETWORK_HOST;

	words_add(words, BUBBLEWRAP);
	words_add(words, "--unshare-all");
	if (has_network)
		words_add(words, "--share-net");
	words_add(words, "--die-with-parent");
	words_add(words, "--new-session");
	for (size_t i = 0; i < sizeof system_paths / sizeof system_paths[0]; i++)
		show(words, system_paths[i]);
	for (size_t i = 0; i < sizeof system_links / sizeof system_links[0]; i++) {
		if (access(system_links[i], F_OK) == 0)
			show_link(words, system_links[i]);
	}
	for (size_t i = 0; has_network && i < sizeof network_paths / sizeof network_paths[0]; i++)
		show(words, network_paths[i]);
	if (cell->is_building)
		show(words, from->certificates);
	show_interpreter(words, cell->language->interpreter);
	words_add(words, "--proc");
	words_add(words, "/proc");
	words_add(words, "--dev");
	words_add(words, "/dev");
	/* Both are memory of the host: the one is bounded, and in the other nothing can be made. */
	words_add(words, "--size");
	words_add(words, "%" PRIu64, from->bytes);
	words_add(words, "--tmpfs");
	words_add(words, "/tmp");
	if (cell->is_building) {
		words_add(words, "--ro-bind-try");
		words_add(words, "%s/%s", from->requirements, cell->language->name);
		words_add(words, "%s/%s", from->requirements, cell->language->name);
		if (from->archives != NULL)
			show(words, from->archives);
	}
	if (cell->set != NULL) {
		words_add(words, cell->is_building ? "--bind" : "--ro-bind");
		words_add(words, "%s", cell->set);
		words_add(words, "%s", cell_place(cell, place));
		words_add(words, "--chdir");
		words_add(words, "%s", place);
	}
	words_add(words, "--remount-ro");
	words_add(words, "/");
	words_add(words, "--");
}

/* The environment of an installer: nothing of ours. */
static void
add_environment(const struct cell *cell, struct words *env)
{
	const struct dependencies_config *from = &cell->config->dependencies;

	words_add(env, "PATH=" PATH_VARIABLE);
	words_add(env, "HOME=/tmp");
	words_add(env, "LANG=C.UTF-8");
	words_add(env, "PYTHONDONTWRITEBYTECODE=%s", cell->is_building ? "" : "1");
	if (!cell->is_building)
		return;
	words_add(env, "SSL_CERT_FILE=%s", from->certificates);
	words_add(env, "NODE_EXTRA_CA_CERTS=%s", from->certificates);
	words_add(env, "REQUESTS_CA_BUNDLE=%s", from->certificates);
	if (from->proxy != NULL) {
		words_add(env, "http_proxy=%s", from->proxy);
		words_add(env, "https_proxy=%s", from->proxy);
		words_add(env, "HTTP_PROXY=%s", from->proxy);
		words_add(env, "HTTPS_PROXY=%s", from->proxy);
	}
}

static bool
limit(int resource, rlim_t most)
{
	struct rlimit now;

	if (getrlimit(resource, &now) != 0)
		return false;
	if (most > now.rlim_max)
		most = now.rlim_max;
	return setrlimit(resource, &(struct rlimit){ most, most }) == 0;
}

/* In a child: become the program. */
static void __attribute__((noreturn)) become(const struct cell *cell, char *const *argv, char *const *env, pid_t parent)
{
	sigset_t none;
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	sigemptyset(&none);
	/* Its group is killed at the end, so that none of it stays if there is no bubblewrap. */
	if (null_fd < 0 || setpgid(0, 0) != 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(cell->out_fd, STDOUT_FILENO) < 0 ||
	    dup2(cell->error_fd < 0 ? cell->out_fd : cell->error_fd, STDERR_FILENO) < 0 || close_range(3, UINT_MAX, 0) != 0 ||
	    sigprocmask(SIG_SETMASK, &none, NULL) != 0 || signal(SIGPIPE, SIG_DFL) == SIG_ERR ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    !limit(RLIMIT_NOFILE, OPEN_FILES) || !limit(RLIMIT_NPROC, PROCESSES) || !limit(RLIMIT_CORE, 0) ||
	    !limit(RLIMIT_FSIZE, cell->config->dependencies.bytes) ||
	    !limit(RLIMIT_DATA, cell->config->dependencies.memory_bytes)) {
		dprintf(STDERR_FILENO, "prepare an installer: %s\n", strerror(errno));
		_exit(126);
	}
	umask(022);
	execve(argv[0], argv, env);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Say that an installer took more than a key of the configuration allows. */
static void
say_limit(char *error, size_t size, const char *what, const char *key, uint64_t most)
{
	char text[UNITS_TEXT_SIZE];
	bool has_unit = units_of_limit(strcmp(key, "bytes") == 0 ? "set_bytes" : key, most, text);

	snprintf(error, size, "it took %s than dependencies.%s, %" PRIu64 "%s%s%s", what, key, most, has_unit ? " (" : "", text,
	    has_unit ? ")" : "");
}

/* Wait for the child. Returns its wait status; or -1 with a text, after it was killed. */
static int
wait_for(const struct cell *cell, pid_t pid, char *error, size_t size)
{
	const struct dependencies_config *from = &cell->config->dependencies;
	uint64_t until_us = clock_us() + from->build_ms * 1000;
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	unsigned looks = 0;
	int status = 0;

	error[0] = '\0';
	if (end.fd < 0)
		snprintf(error, size, "watch the installer: %s", strerror(errno));
	while (error[0] == '\0' && poll(&end, 1, LOOK_MS) <= 0) {
		if (clock_us() > until_us)
			say_limit(error, size, "longer", "build_ms", from->build_ms);
		else if (memory_of_tree(pid) > from->memory_bytes)
			say_limit(error, size, "more memory", "memory_bytes", from->memory_bytes);
		else if (cell->is_building && cell->set != NULL && ++looks % SIZE_LOOKS == 0 &&
		    set_bytes(cell->set) > from->bytes)
			say_limit(error, size, "more disk space", "bytes", from->bytes);
	}
	if (end.fd >= 0)
		close(end.fd);
	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return error[0] != '\0' ? -1 : status;
}

int
cell_run(const struct cell *cell, const struct words *command, char *error, size_t size)
{
	struct words argv = { .count = 0 }, env = { .count = 0 };
	pid_t pid, parent = getpid();
	int status = -1;

	if (has_bubblewrap(cell->config))
		add_bubblewrap(cell, &argv);
	for (size_t i = 0; i < command->count; i++)
		words_add(&argv, "%s", command->word[i]);
	add_environment(cell, &env);
	pid = fork();
	if (pid == 0)
		become(cell, argv.word, env.word, parent);
	if (pid < 0)
		snprintf(error, size, "start an installer: %s", strerror(errno));
	else
		status = wait_for(cell, pid, error, size);
	words_free(&argv);
	words_free(&env);
	if (status == 0 || pid < 0 || status == -1)
		return status;
	if (WIFSIGNALED(status))
		snprintf(error, size, "it was killed by signal %d", WTERMSIG(status));
	else
		snprintf(error, size, "it ended with exit status %d", WEXITSTATUS(status));
	return -1;
}
