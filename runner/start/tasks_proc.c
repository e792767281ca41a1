/* tasks_proc.c - see tasks_proc.h. Runs at the start, as root of the user namespace. */
#define _GNU_SOURCE
#include "start/tasks_proc.h"

#include <errno.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAGS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

int
tasks_proc_make(void)
{
	int fs_fd = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC), fd = -1, error;

	if (fs_fd >= 0 && syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, "subset", "pid", 0) == 0 &&
	    syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, FLAGS);
	error = errno;
	if (fs_fd >= 0)
		close(fs_fd);
	errno = error;
	return fd;
}
