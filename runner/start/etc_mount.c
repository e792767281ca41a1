/* etc_mount.c - see etc_mount.h. Runs at the start, as root of the user namespace. */
#define _GNU_SOURCE
#include "start/etc_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "warden/cell_etc.h"

static int
failed(char *error, size_t size, const char *step, const char *path)
{
	snprintf(error, size, "%s %s: %s", step, path, strerror(errno));
	return -1;
}

static int
make_tmpfs(void)
{
	int fs_fd = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), fd = -1, error;

	if (fs_fd >= 0 && syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, "mode", "755", 0) == 0 &&
	    syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, "size", "64m", 0) == 0 &&
	    syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, 0);
	error = errno;
	if (fs_fd >= 0)
		close(fs_fd);
	errno = error;
	return fd;
}

int
etc_mount_make(const struct config *config, bool single_uid, char *error, size_t size)
{
	int fd = make_tmpfs();

	if (fd < 0)
		return failed(error, size, "make a tmpfs for", ETC_MOUNT_PATH);
	if (cell_etc_make(config, single_uid, fd, error, size) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Make the place of one entry, whose path is relative to `etc_fd`. Returns 0, or -1 with errno. */
static int
make_place(int etc_fd, const char *path, const struct rootfs_entry *entry)
{
	char part[PATH_MAX];
	int fd;

	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		if (mkdirat(etc_fd, part, 0755) != 0 && errno != EEXIST)
			return -1;
	}
	if (entry->kind == ROOTFS_LINK)
		return symlinkat(entry->target, etc_fd, path) == 0 || errno == EEXIST ? 0 : -1;
	if (entry->is_dir)
		return mkdirat(etc_fd, path, 0755) == 0 || errno == EEXIST ? 0 : -1;
	fd = openat(etc_fd, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : close(fd);
}

int
etc_mount_add_places(int etc_fd, const struct rootfs *fs, char *error, size_t size)
{
	const size_t length = strlen(ETC_MOUNT_PATH "/");
	mode_t old_mask = umask(022);
	int result = 0;

	for (size_t i = 0; result == 0 && i < fs->count; i++) {
		const struct rootfs_entry *entry = &fs->entry[i];

		if (strncmp(entry->path, ETC_MOUNT_PATH "/", length) == 0 && make_place(etc_fd, entry->path + length, entry) != 0)
			result = failed(error, size, "make the place of", entry->path);
	}
	umask(old_mask);
	return result;
}

int
etc_mount_cover(int etc_fd, struct etc_mount *etc, char *error, size_t size)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	struct stat st;

	if (fstat(etc_fd, &st) != 0 || syscall(SYS_mount_setattr, etc_fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0 ||
	    syscall(SYS_move_mount, etc_fd, "", AT_FDCWD, ETC_MOUNT_PATH, MOVE_MOUNT_F_EMPTY_PATH) != 0)
		return failed(error, size, "cover", ETC_MOUNT_PATH);
	*etc = (struct etc_mount){ .device = st.st_dev, .inode = st.st_ino };
	return 0;
}

int
etc_mount_clone(const struct etc_mount *etc)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, ETC_MOUNT_PATH, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || st.st_dev != etc->device || st.st_ino != etc->inode)) {
		close(fd);
		errno = EXDEV;
		return -1;
	}
	return fd;
}
