/*
 * lockdown.c - see lockdown.h. Runs in the worker before its first request.
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
#include <sys/syscall.h>
#include <unistd.h>

#include "autoconfig.h"
#include "capabilities.h"
#include "landlock.h"
#include "log.h"

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

static void
set_limits(void)
{
	limit("RLIMIT_CORE", RLIMIT_CORE, 0);
	/* RLIMIT_FSIZE stays: it would limit the memfds too, and stop logging to a big file. */
	limit("RLIMIT_NPROC", RLIMIT_NPROC, 0);
	/*
	 * Few are needed. libfcgi uses select(2), which writes past its sets from descriptor 1024
	 * on.
	 */
	limit("RLIMIT_NOFILE", RLIMIT_NOFILE, 64);
}

static void
enter_landlock(enum requirement wanted)
{
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
	if (abi > 0 && landlock_enter(abi, 0, NULL, 0) == 0) {
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

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		die("seccomp: %s", strerror(errno));
#endif
}

void
lockdown_enter(const struct config *config, const struct policy *policy)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		die("PR_SET_DUMPABLE: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		die("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	drop_capabilities();
	set_limits();
	enter_landlock(config->worker_landlock);
	/* Last, because the filter denies calls that the steps above need. */
	enter_seccomp(&policy->base[0]);
}
