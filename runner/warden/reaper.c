/*
 * reaper.c - see reaper.h. Runs in a child of the warden; reaper_become and reaper_kill_all also at
 * the start and in the guard.
 */
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
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "capabilities.h"
#include "warden/extract_output.h"
#include "fdpass.h"
#include "kernel/dirtree.h"
#include "log.h"
#include "messages.h"
#include "paths.h"

#define WATCH_MS 50          /* between two looks at a run's files */
#define WAIT_FIRST_NS 100000 /* between two looks at the processes that are left; then twice as long, and so on */
#define WAIT_MOST_NS 20000000

static const char *const directories[] = { &PATH_BOX[1], &PATH_TMP[1] };
#define DIRECTORIES (sizeof directories / sizeof directories[0])

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

	/*
	 * -1 means all processes that this one may signal, except itself. A process that is forked
	 * meanwhile gets the next signal.
	 */
	while (reaper_is_left(uid)) {
		kill(-1, SIGKILL);
		nanosleep(&wait, NULL);
		wait.tv_nsec = wait.tv_nsec < WAIT_MOST_NS / 2 ? wait.tv_nsec * 2 : WAIT_MOST_NS;
	}
}

/*
 * The part of its disk that the run has used up. One file of the full size leaves no room for
 * another.
 */
static enum disk_full
measure(const struct reaper *reaper, uint64_t disk_bytes, uint64_t inodes)
{
	struct dirtree_size size = { 0 };

	for (size_t i = 0; i < DIRECTORIES; i++)
		dirtree_measure(reaper->tree_fd, directories[i], inodes, &size);
	if (size.bytes > disk_bytes || size.largest >= disk_bytes)
		return DISK_FULL_BYTES;
	return size.entries >= inodes ? DISK_FULL_INODES : DISK_FULL_NOT;
}

static void
extract(const struct reaper *reaper)
{
	struct reaper_report report = { .kind = REAPER_EXTRACT };
	int box_fd = openat(reaper->tree_fd, directories[0], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = box_fd < 0 || reaper->output == NULL ? -1 : extract_output(box_fd, reaper->output, reaper->output_bytes);

	fdpass_send(reaper->sock, &report, sizeof report, &fd, fd < 0 ? 0 : 1);
	fdpass_close(&fd, 1);
	fdpass_close(&box_fd, 1);
}

/*
 * Have the files of the run collected by another process, which sees the tree of a stranger: this
 * one must still empty it.
 */
static void
collect(const struct reaper *reaper, int patterns_fd)
{
	struct reaper_report report = { .kind = REAPER_COLLECT };
	struct guest_report answer = { 0 };
	int box_fd = openat(reaper->tree_fd, directories[0], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int pair[2] = { -1, -1 }, fd = -1;
	size_t count = 0;
	pid_t pid = -1;

	if (box_fd >= 0 && patterns_fd >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0)
		pid = collector_start(&reaper->collector, pair[1], box_fd, patterns_fd);
	fdpass_close(&pair[1], 1);
	if (pid > 0 && fdpass_recv(pair[0], &answer, sizeof answer, &fd, 1, &count, NULL) == (ssize_t)sizeof answer && count == 0)
		log_warn("the files of a run were not collected: %.*s: %s", (int)sizeof answer.step, answer.step,
		    strerror(answer.error));
	if (pid > 0)
		waitpid(pid, NULL, 0);
	fdpass_send(reaper->sock, &report, sizeof report, &fd, count);
	fdpass_close(&fd, 1);
	fdpass_close(&box_fd, 1);
	fdpass_close(&pair[0], 1);
}

/*
 * Wait until the run has to end. Returns the kind of the end: REAPER_END, REAPER_EXTRACT or
 * REAPER_COLLECT, and then with *patterns_fd.
 */
static uint32_t
watch(const struct reaper *reaper, int *patterns_fd)
{
	struct pollfd connection = { .fd = reaper->sock, .events = POLLIN };
	struct reaper_report report = { .kind = REAPER_WATCH };
	uint64_t disk_bytes = 0, inodes = 0; /* 0: the files are not watched */
	struct reaper_request request;
	size_t count;

	for (;;) {
		if (poll(&connection, 1, disk_bytes != 0 ? WATCH_MS : -1) == 0) {
			report.is_full = measure(reaper, disk_bytes, inodes);
			if (report.is_full != DISK_FULL_NOT) {
				fdpass_send(reaper->sock, &report, sizeof report, NULL, 0);
				disk_bytes = 0;
			}
			continue;
		}
		if (fdpass_recv(reaper->sock, &request, sizeof request, patterns_fd, 1, &count, NULL) != (ssize_t)sizeof request)
			return REAPER_END;
		if (request.kind == REAPER_END || request.kind == REAPER_EXTRACT || request.kind == REAPER_COLLECT)
			return request.kind;
		if (request.kind == REAPER_WATCH) {
			disk_bytes = request.disk_bytes;
			inodes = request.inodes;
		} else {
			struct reaper_report answer = { .kind = REAPER_MEASURE,
				.is_full = measure(reaper, request.disk_bytes, request.inodes) };

			fdpass_send(reaper->sock, &answer, sizeof answer, NULL, 0);
		}
	}
}

void
reaper_main(const struct reaper *reaper)
{
	int patterns_fd = -1;
	uint32_t end;

	if (reaper_become(reaper->uid, reaper->own_uid) != 0)
		_exit(1);
	end = watch(reaper, &patterns_fd);
	reaper_kill_all(reaper->uid);
	if (end == REAPER_EXTRACT)
		extract(reaper);
	else if (end == REAPER_COLLECT)
		collect(reaper, patterns_fd);
	/* A directory that cannot be emptied is a failure of the next cell in this tree. */
	for (size_t i = 0; i < DIRECTORIES; i++)
		dirtree_empty(reaper->tree_fd, directories[i]);
	_exit(0);
}
