/* keeper.c - see keeper.h. */
#define _GNU_SOURCE
#include "warden/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "capabilities.h"
#include "warden/extract_output.h"
#include "fdpass.h"
#include "kernel/dirtree.h"
#include "messages.h"
#include "start/rootfs.h"
#include "paths.h"

#define WATCH_MS 50           /* from one look at a run's files to the next */
#define WAIT_FIRST_NS 100000  /* from one look at what is left to the next: this, then twice as long, and so on */
#define WAIT_MOST_NS 20000000

static const char *const folders[] = { &PATH_BOX[1], &PATH_TMP[1] };
#define FOLDERS (sizeof folders / sizeof folders[0])

bool
reaper_is_left(uid_t uid)
{
	errno = 0;
	return getpriority(PRIO_USER, uid) != -1 || errno != ESRCH;
}

int
reaper_become(uid_t uid, uid_t own_uid)
{
	uid_t real, effective, saved;

	if (setgroups(0, NULL) != 0 || setresgid(own_uid, uid, own_uid) != 0 || setresuid(own_uid, uid, own_uid) != 0 ||
	    capabilities_set(0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	if (getresuid(&real, &effective, &saved) != 0)
		return -1;
	if (real != own_uid || effective != uid || saved != own_uid || setresuid(0, 0, 0) == 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

void
reaper_kill_all(uid_t uid)
{
	struct timespec wait = { .tv_nsec = WAIT_FIRST_NS };

	/* -1 is all that we may signal, but ourselves. What is being forked meanwhile is found the next time. */
	while (reaper_is_left(uid)) {
		kill(-1, SIGKILL);
		nanosleep(&wait, NULL);
		wait.tv_nsec = wait.tv_nsec < WAIT_MOST_NS / 2 ? wait.tv_nsec * 2 : WAIT_MOST_NS;
	}
}

/* Has the run more than it may? `largest` alone makes a disk full that no other file has a place on. */
static uint32_t
is_full(const struct reaper *keeper, uint64_t disk_bytes)
{
	struct dirtree_size size = { 0 };

	for (size_t i = 0; i < FOLDERS; i++)
		dirtree_measure(keeper->tree_fd, folders[i], keeper->inodes, &size);
	return size.bytes > disk_bytes || size.largest >= disk_bytes || size.entries >= keeper->inodes;
}

static void
collect(const struct reaper *keeper)
{
	struct reaper_report report = { .kind = REAPER_COLLECT };
	int box_fd = openat(keeper->tree_fd, folders[0], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = box_fd < 0 || keeper->output == NULL ? -1 : extract_output(box_fd, keeper->output, keeper->output_bytes);

	fdpass_send(keeper->sock, &report, sizeof report, &fd, fd < 0 ? 0 : 1);
	fdpass_close(&fd, 1);
	fdpass_close(&box_fd, 1);
}

/* Until the run has to end. Returns whether what it has made is to be taken. */
static bool
watch(const struct reaper *keeper)
{
	struct pollfd connection = { .fd = keeper->sock, .events = POLLIN };
	struct reaper_report report = { .kind = REAPER_WATCH, .is_full = 1 };
	uint64_t disk_bytes = 0; /* 0: nothing to watch */
	struct reaper_request order;
	size_t count;

	for (;;) {
		if (poll(&connection, 1, disk_bytes != 0 ? WATCH_MS : -1) == 0) {
			if (is_full(keeper, disk_bytes)) {
				fdpass_send(keeper->sock, &report, sizeof report, NULL, 0);
				disk_bytes = 0;
			}
			continue;
		}
		if (fdpass_recv(keeper->sock, &order, sizeof order, NULL, 0, &count, NULL) != (ssize_t)sizeof order ||
		    order.kind == REAPER_END)
			return false;
		if (order.kind == REAPER_COLLECT)
			return true;
		if (order.kind == REAPER_WATCH) {
			disk_bytes = order.disk_bytes;
		} else {
			struct reaper_report answer = { .kind = REAPER_MEASURE, .is_full = is_full(keeper, order.disk_bytes) };

			fdpass_send(keeper->sock, &answer, sizeof answer, NULL, 0);
		}
	}
}

void
reaper_main(const struct reaper *keeper)
{
	bool has_output;

	if (reaper_become(keeper->uid, keeper->own_uid) != 0)
		_exit(1);
	has_output = watch(keeper);
	reaper_kill_all(keeper->uid);
	if (has_output)
		collect(keeper);
	/* What cannot be emptied is met by the next who wants the tree. */
	for (size_t i = 0; i < FOLDERS; i++)
		dirtree_empty(keeper->tree_fd, folders[i]);
	_exit(0);
}
