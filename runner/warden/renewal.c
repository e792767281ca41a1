/* renewal.c - see renewal.h. Runs in the init of a cell. */
#define _GNU_SOURCE
#include "warden/renewal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kernel/netns.h"
#include "paths.h"

#define ENTRIES_BYTES 4096
#define EMPTY_INODES 3 /* of a tmpfs without files: its root, and the directories for /tmp and /box */

/* Close it, and keep errno. Returns `result`. */
static int
close_with(int fd, int result)
{
	int error = errno;

	close(fd);
	errno = error;
	return result;
}

static int
fail(int error)
{
	errno = error;
	return -1;
}

int
renewal_verify_alone(void)
{
	/*
	 * -1 means every process of the pid namespace but the caller. A zombie counts, too. Nobody
	 * can fork when there is nobody.
	 */
	if (kill(-1, SIGKILL) == 0)
		return fail(EBUSY);
	return errno == ESRCH ? 0 : -1;
}

int
renewal_verify_sockets(void)
{
	int has_sockets = netns_has_unix_sockets();

	return has_sockets > 0 ? fail(EBUSY) : has_sockets;
}

static bool
is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Remove every entry. One that is a directory fails. */
static int
remove_files(int fd)
{
	char entries[ENTRIES_BYTES] __attribute__((aligned(8)));
	unsigned count = 0;
	long n;

	while ((n = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);

			at += entry->d_reclen;
			if (is_dot(entry->d_name))
				continue;
			if (++count > RENEWAL_FILES_MAX || entry->d_type == DT_DIR)
				return fail(ENOTEMPTY);
			if (unlinkat(fd, entry->d_name, 0) != 0)
				return -1;
		}
	}
	return n < 0 ? -1 : 0;
}

/* The owner of a directory may change its mode, times, flags and extended attributes. */
static int
restore_directory(int fd, uid_t uid)
{
	unsigned flags = 0;
	ssize_t names = flistxattr(fd, NULL, 0);

	if (names > 0 || (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags != 0))
		return fail(ENOTEMPTY);
	if (names < 0 && errno != EOPNOTSUPP)
		return -1;
	return fchmod(fd, 0700) != 0 || fchown(fd, uid, uid) != 0 || futimens(fd, NULL) != 0 ? -1 : 0;
}

/* Whether nothing takes space any more: a file without a name may still be open somewhere. */
static int
verify_space(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return -1;
	return fs.f_bfree == fs.f_blocks && fs.f_files - fs.f_ffree == EMPTY_INODES ? 0 : fail(ENOTEMPTY);
}

int
renewal_empty_disk(uid_t uid)
{
	static const char *const paths[] = { PATH_TMP, PATH_BOX };

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		int fd = open(paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

		if (fd < 0)
			return -1;
		result = remove_files(fd) != 0 || restore_directory(fd, uid) != 0 ? -1 : 0;
		if (i + 1 == sizeof paths / sizeof paths[0] && result == 0)
			result = verify_space(fd);
		if (close_with(fd, result) != 0)
			return -1;
	}
	return 0;
}

int
renewal_restart_pids(int last_pid_fd)
{
	return pwrite(last_pid_fd, "1", 1, 0) == 1 ? 0 : -1;
}
