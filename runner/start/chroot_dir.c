/*
 * chroot_dir.c - see chroot_dir.h. Runs at the start, as root of the container, and in the guard.
 */
#define _GNU_SOURCE
#include "start/chroot_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fdpass.h"
#include "capabilities.h"
#include "kernel/dirtree.h"
#include "kernel/inherit_fds.h"
#include "log.h"
#include "process_title.h"
#include "warden/reaper.h"
#include "warden/tree_stock.h"

#define LOCK_WAIT_MS 15000 /* for an earlier runner to end */
#define KILL_WAIT_MS 10000
#define ZOMBIE_WAIT_MS 5000
#define CLEAN_LIMIT_MS 60000 /* for the trees that --clean removes: a stop of the service waits for it */
#define POLL_MS 20
#define ASIDE ".gone." /* behind the name of a directory that is to be removed */

static void
wait_ms(unsigned ms)
{
	struct timespec wait = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&wait, NULL);
}

/* Whether a process has this real uid and is no zombie, by a file /proc/PID/status. */
static bool
is_alive_with(const char *pid, uid_t uid)
{
	char path[64], line[256], state = 'Z';
	unsigned real = 0;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%.20s/status", pid);
	status = fopen(path, "re");
	while (status != NULL && fgets(line, sizeof line, status) != NULL) {
		sscanf(line, "State: %c", &state);
		if (sscanf(line, "Uid: %u", &real) == 1)
			break;
	}
	if (status != NULL)
		fclose(status);
	return real == uid && state != 'Z' && state != 'X';
}

/*
 * Whether a process of this uid lives. A zombie does nothing any more, but the system calls of the
 * reaper count it: it stays where pid 1 does not reap.
 */
static bool
is_alive(uid_t uid)
{
	DIR *proc = reaper_is_left(uid) ? opendir("/proc") : NULL;
	struct dirent *entry;
	bool found = false;

	while (proc != NULL && !found && (entry = readdir(proc)) != NULL)
		found = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_alive_with(entry->d_name, uid);
	if (proc != NULL)
		closedir(proc);
	return found;
}

/* Kill all processes of a cell's uid. Returns 0, or -1 if some do not end. */
static int
kill_cell(uid_t uid, uid_t own_uid)
{
	unsigned waited_ms = 0;
	pid_t pid;

	if (!is_alive(uid))
		return 0;
	pid = fork();
	if (pid == 0) {
		if (reaper_become(uid, own_uid) == 0)
			reaper_kill_all(uid);
		_exit(0);
	}
	for (; pid > 0 && waitpid(pid, NULL, WNOHANG) == 0; waited_ms += POLL_MS) {
		if (waited_ms >= KILL_WAIT_MS || !is_alive(uid))
			kill(pid, SIGKILL);
		wait_ms(POLL_MS);
	}
	return is_alive(uid) ? -1 : 0;
}

/* Kill all processes of all cells. */
static void
kill_cells(const struct config *config)
{
	for (uint32_t cell = 0; cell < config->cells; cell++) {
		uid_t uid = config->first_uid + 1 + cell;

		if (kill_cell(uid, uid + config->cells) != 0)
			log_warn("processes of uid %u do not end", (unsigned)uid);
	}
}

/*
 * Removing trees takes time, which the next start must not have to wait for. So they are renamed
 * first. Returns 0, or -1 with errno.
 */
static int
put_aside(const struct config *config, const char *name)
{
	char path[PATH_MAX], aside[PATH_MAX];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(path, sizeof path, "%s/%s", config->chroot_dir, name);
	snprintf(aside, sizeof aside, "%s/%s" ASIDE "%llx%09lx", config->chroot_dir, name, (unsigned long long)now.tv_sec,
	    now.tv_nsec);
	return rename(path, aside);
}

/*
 * Remove all that was put aside, now or by an earlier runner. Returns 0, or -1 if some of it stays.
 */
static int
remove_aside(const struct config *config, const char *name)
{
	int dir_fd = open(config->chroot_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = dir_fd < 0 ? NULL : fdopendir(dir_fd);
	size_t length = strlen(name);
	struct dirent *entry;
	int result = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		if (strncmp(entry->d_name, name, length) == 0 && strncmp(entry->d_name + length, ASIDE, strlen(ASIDE)) == 0 &&
		    dirtree_remove(dir_fd, entry->d_name) != 0 && errno != ENOENT) {
			log_warn("remove %s/%s: %s", config->chroot_dir, entry->d_name, strerror(errno));
			result = -1;
		}
	}
	if (directory != NULL)
		closedir(directory);
	return directory == NULL ? -1 : result;
}

static void
make_path(const struct config *config, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", config->chroot_dir, name);
}

/*
 * Open a directory, and lock it. Returns a descriptor, or -1 with errno; EWOULDBLOCK: another
 * runner has it.
 */
static int
open_locked(const char *path)
{
	unsigned waited_ms = 0;
	struct stat mine, there;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -1;
	for (; flock(fd, LOCK_EX | LOCK_NB) != 0; waited_ms += POLL_MS) {
		if (errno != EWOULDBLOCK || waited_ms >= LOCK_WAIT_MS) {
			close(fd);
			errno = EWOULDBLOCK;
			return -1;
		}
		wait_ms(POLL_MS);
	}
	/* The last holder of the lock may have removed the directory. */
	if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
		return fd;
	close(fd);
	errno = ENOENT;
	return -1;
}

int
chroot_dir_open(const struct config *config, const char *name)
{
	char path[PATH_MAX];
	int old, fd;

	make_path(config, name, path);
	if (mkdir(config->chroot_dir, 0755) != 0 && errno != EEXIST)
		die("%s: isolation.chroot_dir: make %s: %s", config->path, config->chroot_dir, strerror(errno));
	old = open_locked(path);
	if (old < 0 && errno != ENOENT)
		die("%s: isolation.chroot_dir: another runner has %s", config->path, path);
	kill_cells(config);
	tree_stock_clean(config);
	for (uint32_t cell = 0; cell < config->cells; cell++) {
		uid_t uid = config->first_uid + 1 + cell;

		/*
		 * A cell could not be told from one whose processes have not ended. A parent that
		 * reaps may need a moment.
		 */
		for (unsigned waited_ms = 0; waited_ms < ZOMBIE_WAIT_MS && reaper_is_left(uid); waited_ms += POLL_MS)
			wait_ms(POLL_MS);
		if (reaper_is_left(uid))
			die("a dead process of uid %u is left by an earlier runner, and pid 1 does not reap it: start the container "
			    "with an init as pid 1 (docker run --init)",
			    (unsigned)uid);
	}
	if (old >= 0 && put_aside(config, name) != 0)
		die("%s: isolation.chroot_dir: rename %s: %s", config->path, path, strerror(errno));
	if (mkdir(path, 0700) != 0 || (fd = open_locked(path)) < 0 || fchmod(fd, 0700) != 0)
		die("%s: isolation.chroot_dir: make %s: %s", config->path, path, strerror(errno));
	if (old >= 0)
		close(old);
	return fd;
}

static void __attribute__((noreturn)) guard(const struct config *config, const char *name, int dir_fd, int uids_fd, int gone_fd)
{
	const uint64_t keep = CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_SETGID) |
	    CAPABILITY(CAP_SETUID);
	char byte;

	int kept[3] = { dir_fd, gone_fd, uids_fd };

	process_title_set("guard");
	/* The socket for workers and the pipe to the parent are the door's alone. */
	if (inherit_fds_only(kept, uids_fd >= 0 ? 3 : 2, true) != 0)
		die("close descriptors that the guard must not have: %s", strerror(errno));
	dir_fd = INHERIT_FDS_FIRST;
	gone_fd = INHERIT_FDS_FIRST + 1;
	uids_fd = uids_fd >= 0 ? INHERIT_FDS_FIRST + 2 : -1;
	/* A signal to the whole service must not end the guard: its work only begins then. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (capabilities_keep(keep) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die("keep the capabilities dac_override, fowner, setgid and setuid, and no other: %s", strerror(errno));
	/*
	 * A child removes what an earlier runner left, so that the guard sees the end of its own
	 * one.
	 */
	signal(SIGCHLD, SIG_IGN);
	if (fork() == 0) {
		close(dir_fd);
		fdpass_close(&uids_fd, 1);
		_exit(remove_aside(config, name) != 0);
	}
	while (read(gone_fd, &byte, 1) < 0 && errno == EINTR)
		continue;
	kill_cells(config);
	tree_stock_clean(config);
	if (put_aside(config, name) != 0)
		log_warn("rename %s/%s: %s", config->chroot_dir, name, strerror(errno));
	/* With both locks released, the next runner need not wait for the rest. */
	fdpass_close(&uids_fd, 1);
	close(dir_fd);
	remove_aside(config, name);
	_exit(0);
}

void
chroot_dir_guard(const struct config *config, const char *name, int dir_fd, int uids_fd, int *alive_fd)
{
	int alive[2];
	pid_t pid;

	if (pipe2(alive, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		die("start the process that removes the trees: %s", strerror(errno));
	if (pid == 0) {
		close(alive[1]);
		guard(config, name, dir_fd, uids_fd, alive[0]);
	}
	close(alive[0]);
	*alive_fd = alive[1];
}

/*
 * Remove all that was put aside, for CLEAN_LIMIT_MS at most. Returns 0, or -1 if some of it stays.
 */
static int
remove_aside_in_time(const struct config *config, const char *name)
{
	unsigned waited_ms = 0;
	int status = -1;
	pid_t pid = fork(), ended;

	if (pid < 0)
		return remove_aside(config, name);
	if (pid == 0)
		_exit(remove_aside(config, name) != 0);
	while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && waited_ms < CLEAN_LIMIT_MS) {
		wait_ms(POLL_MS);
		waited_ms += POLL_MS;
	}
	if (ended != 0)
		return ended == pid && status == 0 ? 0 : -1;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	log_warn("%s/%s" ASIDE "*: not all trees were removed within %u s; the next start or --clean removes the rest",
	    config->chroot_dir, name, CLEAN_LIMIT_MS / 1000);
	return -1;
}

int
chroot_dir_clean(const struct config *config, const char *name)
{
	char path[PATH_MAX];
	int fd;

	make_path(config, name, path);
	fd = open_locked(path);
	if (fd < 0 && errno == EWOULDBLOCK) {
		log_warn("%s: a runner has it", path);
		return -1;
	}
	kill_cells(config);
	tree_stock_clean(config);
	if (fd >= 0 && put_aside(config, name) != 0) {
		log_warn("rename %s: %s", path, strerror(errno));
		return -1;
	}
	return access(config->chroot_dir, F_OK) == 0 ? remove_aside_in_time(config, name) : 0;
}
