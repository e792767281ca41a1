/*
 * lockdown.c - see lockdown.h. Runs in the worker before its first request, and confines all of its
 * threads.
 *
 * The worker parses untrusted input, so it gives up everything that an attacker who takes it over
 * could use: it is an ordinary user that cannot become another, start a program, open a file, or
 * reach the network. It keeps its listening socket and the runner's socket, where it can send the
 * messages of proto.h.
 */
#define _GNU_SOURCE
#include "lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "autoconfig.h"
#include "capabilities.h"
#include "crew.h"
#include "landlock.h"
#include "log.h"

/*
 * Descriptors: 0 to 2, those of worker.c, and a few to spare. A connection of tests may be that of
 * an interactor, with its three pipes.
 */
#define FILES_OF_PROCESS (16 + 4 * CREW_LINKS)
/*
 * Of a request: its connection, those to two runners while one replaces the other, epoll, both ends
 * of three pipes, a memfd, the connection to the store, a file of it, and the job that has its
 * files.
 */
#define FILES_OF_REQUEST 14
#define MEMORY_OF_TEST 8192
#define MEMORY_OF_PROCESS ((rlim_t)128 << 20) /* code, configuration, stacks, and what malloc(3) keeps */
#ifdef CELLBLOCK_SANITIZERS
#define LIMITS_MEMORY false /* the sanitizers map terabytes */
#else
#define LIMITS_MEMORY true
#endif

void
lockdown_check(int first_fd)
{
	uid_t real, effective, saved;
	int fd;

	if (getresuid(&real, &effective, &saved) != 0)
		die("getresuid: %s", strerror(errno));
	if (real == 0 || effective == 0 || saved == 0)
		die("the worker must not run as root: start it as an ordinary user (spawn-fcgi -u)");
	/*
	 * If one of the three were free, the next descriptor would take its number, and a log line
	 * could go into a job.
	 */
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		die("/dev/null: %s", strerror(errno));
	/* spawn-fcgi(1) passes on descriptors that it does not know. */
	if (close_range((unsigned)first_fd, ~0U, 0) != 0)
		die("close_range: %s", strerror(errno));
}

static void
drop_capabilities(void)
{
	/*
	 * An ordinary user may not, and need not: with no_new_privs the bounding set is of no use.
	 */
	if (capabilities_bound(0) < 0 && errno != EPERM)
		die("PR_CAPBSET_DROP: %s", strerror(errno));
	if (capabilities_set(0) < 0)
		die("drop all capabilities: %s", strerror(errno));
	if (setuid(0) == 0 || setgid(0) == 0)
		die("the worker can become root");
}

static void
limit(const char *name, int resource, rlim_t most)
{
	struct rlimit value = { most, most };

	if (setrlimit(resource, &value) != 0)
		die("%s: %s", name, strerror(errno));
}

/*
 * The memory that a request can need at most: its body, the tree that is made of it, with a string
 * that grows by doubling; its arguments and environment; its files, decoded; and the output of its
 * run.
 */
static rlim_t
memory_of_request(const struct config *config)
{
	uint64_t output = config->limits.maximum.output_bytes, compiled = 0;

	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];

		if (language->limits.maximum.output_bytes > output)
			output = language->limits.maximum.output_bytes;
		if (config_is_compiled(language) && language->compile.limits.output_bytes > compiled)
			compiled = language->compile.limits.output_bytes;
	}
	/*
	 * With tests: what each has shown, all outputs in the reply, the one that is being checked,
	 * and an interactor's.
	 */
	return 6 * config->body_bytes + 6 * output + 2 * compiled + config->tests_most * MEMORY_OF_TEST;
}

static void
set_limits(const struct config *config, rlim_t files)
{
	limit("RLIMIT_CORE", RLIMIT_CORE, 0);
	/* RLIMIT_FSIZE stays: it would limit the memfds too, and stop logging to a big file. */
	limit("RLIMIT_NPROC", RLIMIT_NPROC, 0);
	if (files > FD_SETSIZE)
		die("worker.requests: %llu descriptors are needed, and libfcgi, which uses select(2), can have %d",
		    (unsigned long long)files, FD_SETSIZE);
	limit("RLIMIT_NOFILE", RLIMIT_NOFILE, files);
	/* A worker that was taken over must not use up the host. */
	if (LIMITS_MEMORY)
		limit("RLIMIT_DATA", RLIMIT_DATA, MEMORY_OF_PROCESS + config->requests * memory_of_request(config));
}

static void
enter_landlock(enum requirement wanted, int dir_fd)
{
	const struct landlock_rule rule = { .fd = dir_fd, .allowed = LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_MAKE };
	int abi, fd;

	if (wanted == LAYER_OFF) {
		log_info("Landlock: off, as configured");
		return;
	}
	/*
	 * Without a rule nothing is allowed. Connecting to the runner's socket is not a file
	 * access.
	 */
	abi = landlock_abi();
	if (abi > 0 && landlock_enter(abi, 0, &rule, dir_fd >= 0) == 0) {
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			die("Landlock is in force, and still a directory could be opened");
		log_info("Landlock: in force, ABI %d", abi);
	} else if (wanted == LAYER_OPTIONAL) {
		log_info("Landlock: not available (%s)", strerror(errno));
	} else {
		die("Landlock: %s: boot with landlock in the lsm= list, or set worker.landlock to \"optional\"", strerror(errno));
	}
}

static void
enter_seccomp(const struct bpf *filter)
{
	if (filter->count == 0)
		die("seccomp: the policy of the worker filters nothing");
#ifdef CELLBLOCK_SANITIZERS
	/*
	 * The sanitizers' run time makes system calls of its own, which the policy does not allow.
	 */
	log_warn("seccomp: off, because this program is built with sanitizers (%zu instructions)", filter->count);
#else
	struct sock_fprog program = { .len = (unsigned short)filter->count, .filter = filter->code };

	/* The kernel returns the id of a thread that the filter cannot be given to. */
	long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);

	if (failed > 0)
		die("seccomp: thread %ld cannot have the filter", failed);
	if (failed != 0)
		die("seccomp: %s", strerror(errno));
#endif
}

void
lockdown_verify(void)
{
#ifndef CELLBLOCK_SANITIZERS
	/* It is 0 without a filter. This filter denies the question. */
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0)
		die("seccomp is not in force for a thread");
#endif
}

#ifdef CELLBLOCK_SANITIZERS
static bool is_confined;

/*
 * LeakSanitizer asks this at the end of the process. It looks for leaks by a process of its own,
 * which traces this one; neither is possible any more.
 */
int __lsan_is_turned_off(void);
int
__lsan_is_turned_off(void)
{
	return is_confined;
}
#endif

void
lockdown_begin_in(const struct config *config, int dir_fd)
{
#ifdef CELLBLOCK_SANITIZERS
	is_confined = true;
#endif
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		die("PR_SET_DUMPABLE: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		die("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	drop_capabilities();
	enter_landlock(config->worker_landlock, dir_fd);
}

void
lockdown_begin(const struct config *config)
{
	lockdown_begin_in(config, -1);
}

void
lockdown_complete_with(const struct config *config, const struct policy *policy, unsigned files)
{
	set_limits(config, files);
	/* Last, because the filter denies calls that the steps above need. */
	enter_seccomp(&policy->base[0]);
}

void
lockdown_complete(const struct config *config, const struct policy *policy)
{
	lockdown_complete_with(config, policy, FILES_OF_PROCESS + config->requests * FILES_OF_REQUEST);
}
