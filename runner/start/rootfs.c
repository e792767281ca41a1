/*
 * rootfs.c - see rootfs.h. Runs at the start, first with the rights of the start, then as root of
 * the user namespace.
 */
#define _GNU_SOURCE
#include "start/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "paths.h"

#define LINKS_MAX 40
#define DEV "/dev"

static const struct {
	const char *path;
	unsigned minor; /* all are of one major number */
} devices[] = {
	{ DEV "/null", 3 },
	{ DEV "/zero", 5 },
	{ DEV "/full", 7 },
	{ DEV "/random", 8 },
	{ DEV "/urandom", 9 },
};
#define DEVICES_MAJOR 1

/* Links among the devices. Without /proc, those into it lead nowhere. */
static const char *const device_links[][2] = {
	{ "shm", PATH_TMP },
	{ "fd", PATH_PROC "/self/fd" },
	{ "stdin", PATH_PROC "/self/fd/0" },
	{ "stdout", PATH_PROC "/self/fd/1" },
	{ "stderr", PATH_PROC "/self/fd/2" },
};

/* The host's programs and libraries. Some hosts have all of them in /usr, and links to there. */
static const char *const machine[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives" };

/* Directories that every root has. */
static const struct {
	const char *path;
	mode_t mode;
} skeleton[] = {
	{ DEV, 0755 },
	{ PATH_BOX, 0755 },
	{ PATH_TMP, 01777 },
	{ PATH_PROC, 0555 },
	{ ETC_MOUNT_PATH, 0755 },
};

static int
failed(char *error, size_t size, const char *step, const char *path)
{
	snprintf(error, size, "%s %s: %s", step, path, strerror(errno));
	return -1;
}

static bool
is_below(const char *path, const char *parent)
{
	size_t n = strlen(parent);

	return strncmp(path, parent, n) == 0 && path[n] == '/';
}

/* Whether `path` is in the list already, or below a directory that is bound. */
static bool
is_covered(const struct rootfs *fs, const char *path)
{
	for (size_t i = 0; i < fs->count; i++) {
		const struct rootfs_entry *e = &fs->entry[i];

		if (strcmp(e->path, path) == 0 || (e->kind == ROOTFS_BIND && e->is_dir && is_below(path, e->path)))
			return true;
	}
	return false;
}

static void
free_entry(struct rootfs_entry *entry)
{
	free(entry->path);
	free(entry->source);
	free(entry->target);
	if (entry->tree_fd >= 0)
		close(entry->tree_fd);
}

static void
remove_entries(struct rootfs *fs, bool (*is_meant)(const struct rootfs_entry *, const char *), const char *path)
{
	size_t kept = 0;

	for (size_t i = 0; i < fs->count; i++) {
		struct rootfs_entry *e = &fs->entry[i];

		if (is_meant(e, path))
			free_entry(e);
		else
			fs->entry[kept++] = *e;
	}
	fs->count = kept;
}

/*
 * Whether a bound directory `path` has this entry below it. Every mount is copied for every cell,
 * so it needs none of its own.
 */
static bool
is_brought_by(const struct rootfs_entry *e, const char *path)
{
	return e->kind != ROOTFS_DEVICE && is_below(e->path, path);
}

static bool
is_device(const struct rootfs_entry *e, const char *path)
{
	(void)path;
	return e->kind == ROOTFS_DEVICE;
}

static char *
copy_text(const char *text, bool *is_good)
{
	char *copy = text == NULL ? NULL : strdup(text);

	*is_good = *is_good && (text == NULL || copy != NULL);
	return copy;
}

/*
 * Add an entry, unless its path is covered already. `source` and `target`: NULL, or copied. Returns
 * 0, or -1 with a text in `error`.
 */
static int
add_entry(struct rootfs *fs, enum rootfs_kind kind, const char *path, const char *source, const char *target, bool is_dir,
    char *error, size_t size)
{
	struct rootfs_entry *grown, entry;
	bool is_good = true;

	if (is_covered(fs, path))
		return 0;
	if (kind == ROOTFS_BIND && is_dir)
		remove_entries(fs, is_brought_by, path);
	grown = realloc(fs->entry, (fs->count + 1) * sizeof *grown);
	if (grown == NULL)
		return failed(error, size, "remember", path);
	fs->entry = grown;
	entry = (struct rootfs_entry){ .kind = kind,
		.path = copy_text(path, &is_good),
		.source = copy_text(source, &is_good),
		.target = copy_text(target, &is_good),
		.is_dir = is_dir,
		.tree_fd = -1 };
	if (!is_good) {
		free_entry(&entry);
		errno = ENOMEM;
		return failed(error, size, "remember", path);
	}
	grown[fs->count++] = entry;
	return 0;
}

int
rootfs_init(struct rootfs *fs, char *error, size_t size)
{
	*fs = (struct rootfs){ 0 };
	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
		if (add_entry(fs, ROOTFS_DEVICE, devices[i].path, NULL, NULL, false, error, size) != 0)
			return -1;
	}
	return 0;
}

int
rootfs_add(struct rootfs *fs, const char *path, char *error, size_t size)
{
	char rest[PATH_MAX], done[PATH_MAX] = "", link[PATH_MAX], next[PATH_MAX];
	struct stat st = { 0 };
	int links = 0;

	if (path[0] != '/' || strlen(path) >= sizeof rest) {
		errno = EINVAL;
		return failed(error, size, "bind", path);
	}
	strcpy(rest, path);
	/* Walk from the left: `done` has no links any more, `rest` is still to be walked. */
	while (rest[strspn(rest, "/")] != '\0') {
		char *part = rest + strspn(rest, "/");
		size_t part_size = strcspn(part, "/");
		size_t done_size = strlen(done);
		ssize_t n;

		if (part_size == 1 && part[0] == '.') {
			memmove(rest, part + 1, strlen(part + 1) + 1);
			continue;
		}
		if (part_size == 2 && part[0] == '.' && part[1] == '.') {
			char *slash = strrchr(done, '/');

			if (slash != NULL)
				*slash = '\0';
			memmove(rest, part + 2, strlen(part + 2) + 1);
			continue;
		}
		if (done_size + part_size + 2 > sizeof done) {
			errno = ENAMETOOLONG;
			return failed(error, size, "bind", path);
		}
		done[done_size] = '/';
		memcpy(done + done_size + 1, part, part_size);
		done[done_size + 1 + part_size] = '\0';
		memmove(rest, part + part_size, strlen(part + part_size) + 1);
		if (lstat(done, &st) != 0)
			return failed(error, size, "bind", path);
		if (!S_ISLNK(st.st_mode))
			continue;
		n = readlink(done, link, sizeof link - 1);
		if (n < 0 || ++links > LINKS_MAX) {
			errno = n < 0 ? errno : ELOOP;
			return failed(error, size, "follow", done);
		}
		link[n] = '\0';
		if (add_entry(fs, ROOTFS_LINK, done, NULL, link, false, error, size) != 0)
			return -1;
		if (snprintf(next, sizeof next, "%s/%s", link, rest) >= (int)sizeof next) {
			errno = ENAMETOOLONG;
			return failed(error, size, "follow", done);
		}
		strcpy(rest, next);
		if (link[0] == '/')
			done[0] = '\0';
		else
			done[done_size] = '\0';
	}
	if (done[0] == '\0') {
		errno = EINVAL;
		return failed(error, size, "bind the whole of", "/");
	}
	return add_entry(fs, ROOTFS_BIND, done, NULL, NULL, S_ISDIR(st.st_mode), error, size);
}

int
rootfs_add_machine(struct rootfs *fs, char *error, size_t size)
{
	for (size_t i = 0; i < sizeof machine / sizeof machine[0]; i++) {
		if (access(machine[i], F_OK) == 0 && rootfs_add(fs, machine[i], error, size) != 0)
			return -1;
	}
	return 0;
}

int
rootfs_add_at(struct rootfs *fs, const char *path, const char *source, char *error, size_t size)
{
	struct stat st;

	if (stat(source, &st) != 0)
		return failed(error, size, "bind", source);
	return add_entry(fs, ROOTFS_BIND, path, source, NULL, S_ISDIR(st.st_mode), error, size);
}

int
rootfs_add_link(struct rootfs *fs, const char *path, const char *target, char *error, size_t size)
{
	char *known = realpath(target, NULL);
	int result = add_entry(fs, ROOTFS_LINK, path, NULL, known != NULL ? known : target, false, error, size);

	free(known);
	return result;
}

int
rootfs_add_plain_link(struct rootfs *fs, const char *path, const char *target, char *error, size_t size)
{
	return add_entry(fs, ROOTFS_LINK, path, NULL, target, false, error, size);
}

int
rootfs_add_text(struct rootfs *fs, const char *path, const char *text, char *error, size_t size)
{
	return add_entry(fs, ROOTFS_TEXT, path, NULL, text, false, error, size);
}

static int
clone_tree(const char *path, unsigned attributes)
{
	struct mount_attr attr = { .attr_set = attributes };
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0)
		return -1;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int
rootfs_clone(const char *path, char *error, size_t size)
{
	int fd = clone_tree(path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);

	return fd < 0 ? failed(error, size, "clone", path) : fd;
}

/* Make the links among the devices in a directory. Returns 0, or -1 with errno. */
static int
make_device_links(int directory_fd)
{
	for (size_t i = 0; i < sizeof device_links / sizeof device_links[0]; i++) {
		if (symlinkat(device_links[i][1], directory_fd, device_links[i][0]) != 0)
			return -1;
	}
	return 0;
}

/*
 * Make a detached, read-only tmpfs with the devices. Returns its descriptor, or -1 where this
 * process may make no devices: only root of the host may. Then each device is bound, which is four
 * mounts more for every cell.
 */
static int
make_devices(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };
	mode_t old_mask = umask(0);
	int fs_fd = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int fd = -1, good;

	good = fs_fd >= 0 && syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, "mode", "755", 0) == 0 &&
	    syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, "size", "4k", 0) == 0 &&
	    syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0 &&
	    (fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, 0)) >= 0;
	for (size_t i = 0; good && i < sizeof devices / sizeof devices[0]; i++)
		good = mknodat(fd, devices[i].path + strlen(DEV "/"), S_IFCHR | 0666, makedev(DEVICES_MAJOR, devices[i].minor)) ==
		    0;
	good = good && make_device_links(fd) == 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0;
	umask(old_mask);
	if (fs_fd >= 0)
		close(fs_fd);
	if (!good && fd >= 0)
		close(fd);
	return good ? fd : -1;
}

int
rootfs_open(struct rootfs *fs, char *error, size_t size)
{
	int devices_fd = make_devices();

	if (devices_fd >= 0) {
		remove_entries(fs, is_device, NULL);
		if (add_entry(fs, ROOTFS_BIND, DEV, NULL, NULL, true, error, size) != 0)
			return -1;
		fs->entry[fs->count - 1].tree_fd = devices_fd;
	}
	for (size_t i = 0; i < fs->count; i++) {
		struct rootfs_entry *e = &fs->entry[i];

		if (e->tree_fd >= 0)
			continue;
		if (e->kind == ROOTFS_BIND)
			e->tree_fd = rootfs_clone(e->source != NULL ? e->source : e->path, error, size);
		else if (e->kind == ROOTFS_DEVICE &&
		    (e->tree_fd = clone_tree(e->path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)) < 0)
			failed(error, size, "clone", e->path);
		if (e->kind != ROOTFS_LINK && e->kind != ROOTFS_TEXT && e->tree_fd < 0)
			return -1;
	}
	return 0;
}

int
rootfs_attach(int tree_fd, const char *path)
{
	return (int)syscall(SYS_move_mount, tree_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
}

/*
 * Make the directories above `path`, which is relative to the working directory. Returns 0, or -1
 * with errno.
 */
static int
make_parents(const char *path)
{
	char part[PATH_MAX];

	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

/* Returns 0, or -1 with errno. */
static int
place_etc(const struct etc_mount *etc)
{
	int fd = etc_mount_clone(etc), result;

	if (fd < 0)
		return -1;
	result = rootfs_attach(fd, &ETC_MOUNT_PATH[1]);
	close(fd);
	return result;
}

/* Attach the mount of an entry at `path`, and close it. Returns 0, or -1 with errno. */
static int
attach_tree(struct rootfs_entry *e, const char *path)
{
	if (rootfs_attach(e->tree_fd, path) != 0)
		return -1;
	close(e->tree_fd);
	e->tree_fd = -1;
	return 0;
}

/* Make one entry below the working directory. Returns 0, or -1 with errno. */
static int
place(struct rootfs_entry *e)
{
	const char *path = e->path + 1;
	int fd;

	if (is_below(e->path, ETC_MOUNT_PATH)) {
		/* Its place is there already, and so is a link. */
		if (e->kind == ROOTFS_LINK)
			return 0;
		return attach_tree(e, path);
	}
	if (make_parents(path) != 0)
		return -1;
	if (e->kind == ROOTFS_LINK)
		return symlink(e->target, path);
	if (e->is_dir) {
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return -1;
	} else {
		ssize_t text_size = e->kind == ROOTFS_TEXT ? (ssize_t)strlen(e->target) : 0;

		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, e->target, (size_t)text_size) != text_size)
			return -1;
		close(fd);
		if (e->kind == ROOTFS_TEXT)
			return 0;
	}
	return attach_tree(e, path);
}

/* Returns 0, or -1 with errno. */
static int
place_device_links(void)
{
	int fd = open(&DEV[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 ? -1 : make_device_links(fd);

	if (fd >= 0)
		close(fd);
	return result;
}

int
rootfs_enter(struct rootfs *fs, const struct cell_proc *proc, const struct etc_mount *etc, char *error, size_t size)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	/* Any directory will do as the place of the new root until pivot_root makes it "/". */
	static const char base[] = "/tmp";

	umask(0);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return failed(error, size, "make private the mounts below", "/");
	if (mount("cellblock", base, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755") != 0 || chdir(base) != 0)
		return failed(error, size, "mount a tmpfs on", base);
	for (size_t i = 0; i < sizeof skeleton / sizeof skeleton[0]; i++) {
		if (mkdir(skeleton[i].path + 1, skeleton[i].mode) != 0)
			return failed(error, size, "make directory", skeleton[i].path);
	}
	if (place_device_links() != 0)
		return failed(error, size, "make the links of", DEV);
	if (etc != NULL && place_etc(etc) != 0)
		return failed(error, size, "place in the root", ETC_MOUNT_PATH);
	for (size_t i = 0; i < fs->count; i++) {
		if (place(&fs->entry[i]) != 0)
			return failed(error, size, "place in the root", fs->entry[i].path);
	}
	if (proc != NULL && cell_proc_place(proc) != 0)
		return failed(error, size, "prepare /sys and", PATH_PROC);
	/*
	 * pivot_root(".", ".") stacks the old root on the new one, where the same name unmounts it.
	 */
	if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return failed(error, size, "pivot into", base);
	if (syscall(SYS_mount_setattr, -1, "/", 0, &attr, sizeof attr) != 0)
		return failed(error, size, "make read-only", "/");
	umask(022);
	return 0;
}

void
rootfs_free(struct rootfs *fs)
{
	for (size_t i = 0; i < fs->count; i++)
		free_entry(&fs->entry[i]);
	free(fs->entry);
	*fs = (struct rootfs){ 0 };
}
