/* collector.c - see collector.h. Started by wardens and, at level chroot, by reapers. */
#define _GNU_SOURCE
#include "warden/collector.h"

#include <errno.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "autoconfig.h"
#include "capabilities.h"
#include "collection.h"
#include "fdpass.h"
#include "kernel/inherit_fds.h"
#include "landlock.h"
#include "messages.h"
#include "warden/collect.h"

#define CPU_SECONDS 2   /* it ends by itself after COLLECT_MS */
#define ALARM_SECONDS 4 /* the same on a busy host */
#define OPEN_FILES 64   /* more than directories in each other */
#define DATA_BYTES (64 << 20)

enum { ANSWER_FD = INHERIT_FDS_FIRST, BOX_FD, REQUEST_FD };

/* A step of walling it in. Returns 0, or -1 with errno. */
struct step {
	const char *name; /* shorter than REQUEST_STEP_SIZE */
	int (*carry_out)(const struct collector *collector);
};

static int
end_in_time(const struct collector *collector)
{
	struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t none;

	(void)collector;
	sigemptyset(&none);
	if (sigaction(SIGALRM, &usual, NULL) != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		return -1;
	alarm(ALARM_SECONDS);
	return 0;
}

static int
limit(__rlimit_resource_t resource, rlim_t most)
{
	const struct rlimit both = { most, most };

	return setrlimit(resource, &both);
}

/*
 * The kernel compares the limit of open files also with the descriptors that all processes of this
 * user have sent and nobody has received yet. With a single uid these are the whole runner's.
 */
static int
set_rlimits(const struct collector *collector)
{
#ifndef CELLBLOCK_SANITIZERS
	/* The sanitizers map terabytes. */
	if (limit(RLIMIT_DATA, DATA_BYTES) != 0)
		return -1;
#endif
	return limit(RLIMIT_CPU, CPU_SECONDS) != 0 || (collector->becomes_user && limit(RLIMIT_NOFILE, OPEN_FILES) != 0) ||
	        limit(RLIMIT_CORE, 0) != 0 ?
	    -1 :
	    0;
}

static int
become_user(const struct collector *collector)
{
	uid_t uid = collector->uid;

	if (!collector->becomes_user)
		return 0;
	return setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0 ? -1 : 0;
}

static int
drop_capabilities(const struct collector *collector)
{
	(void)collector;
	return capabilities_set(0);
}

static int
become_undumpable(const struct collector *collector)
{
	(void)collector;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int
set_no_new_privs(const struct collector *collector)
{
	(void)collector;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int
enter_landlock(const struct collector *collector)
{
	const struct landlock_rule box = { .fd = BOX_FD, .allowed = LANDLOCK_READ };

	return collector->landlock_abi == 0 ? 0 : landlock_enter(collector->landlock_abi, 0, &box, 1);
}

static int
load_policy(const struct collector *collector)
{
#ifdef CELLBLOCK_SANITIZERS
	(void)collector; /* they make calls of their own */
	return 0;
#else
	struct sock_fprog filter = { .len = (unsigned short)collector->policy->count, .filter = collector->policy->code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
#endif
}

/* t/steps_collect.t reads these names, and has each of them fail. */
static const struct step steps[] = {
	{ "end in time", end_in_time },
	{ "set the collector's rlimits", set_rlimits },
	{ "become the cell's user", become_user },
	{ "drop all capabilities", drop_capabilities },
	{ "become undumpable", become_undumpable },
	{ "set no_new_privs", set_no_new_privs },
	{ "enter the collector's Landlock domain", enter_landlock },
	{ "load the collector's policy", load_policy },
};

/* Returns the name of the step that failed, with errno, or NULL. */
static const char *
wall_in(const struct collector *collector)
{
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		if (steps[i].carry_out(collector) != 0)
			return steps[i].name;
	}
	return NULL;
}

static void __attribute__((noreturn)) collect_and_exit(const struct collector *collector)
{
	const char *failed = wall_in(collector);
	struct guest_report report = { 0 };
	int fd = -1;

	if (failed == NULL && (fd = collect_files(BOX_FD, REQUEST_FD, collector->most_bytes)) < 0)
		failed = "collect the files";
	if (failed != NULL) {
		report.error = errno != 0 ? errno : EPROTO;
		snprintf(report.step, sizeof report.step, "%s", failed);
	}
	fdpass_send(ANSWER_FD, &report, sizeof report, &fd, fd < 0 ? 0 : 1);
	_exit(failed != NULL);
}

pid_t
collector_start(const struct collector *collector, int answer_fd, int box_fd, int request_fd)
{
	const int fds[] = { answer_fd, box_fd, request_fd };
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || inherit_fds_only(fds, 3, true) != 0)
		_exit(1);
	collect_and_exit(collector);
}
