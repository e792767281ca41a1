/* tree.c - see tree.h. The first tree is made at the start, of what the operator has installed; cells' by wardens, of that. */
#define _GNU_SOURCE
#include "warden/chroot_tree.h"
#include "paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_TO_OTHERS (S_IROTH | S_IXOTH)

static int
failed(char *error, size_t size, const char *what, const char *path)
{
	snprintf(error, size, "%s %s: %s", what, path, strerror(errno));
	return -1;
}

static int
copy_file(int from, const char *source, mode_t mode, int to, const char *name)
{
	int in = openat(from, source, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int out = in < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0755);
	ssize_t n = -1;

	if (out >= 0)
		do
			n = sendfile(out, in, NULL, 1u << 30);
		while (n > 0);
	if (in >= 0)
		close(in);
	if (out >= 0 && close(out) != 0)
		n = -1;
	return n == 0 ? 0 : -1;
}

/* A file of the host that may be in a tree. One that others could write, or that is not root's, must not be the same there. */
static int
add_file(int from, const char *source, const struct stat *st, int to, const char *name, struct chroot_tree_count *count)
{
	if ((st->st_mode & S_IROTH) == 0 || (st->st_mode & (S_ISUID | S_ISGID)) != 0)
		return 0;
	if (st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 && linkat(from, source, to, name, 0) == 0) {
		count->links++;
		return 0;
	}
	count->copies++;
	return copy_file(from, source, st->st_mode, to, name);
}

static int
add_link(int from, const char *source, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, source, target, sizeof target - 1);

	if (n < 0)
		return -1;
	target[n] = '\0';
	return symlinkat(target, to, name);
}

/* Open the folder `name` of `to`, making it if it is not there. */
static int
make_folder(int to, const char *name)
{
	if (mkdirat(to, name, 0755) != 0 && errno != EEXIST)
		return -1;
	return openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* All that is in a folder is put into another one. `add` is asked about each name. */
struct walk {
	int (*add)(struct walk *walk, int from, const char *name, int to);
	unsigned depth, deepest; /* where it is, and where it looks at no folders any more */
	struct chroot_tree_count count;
};

/* Takes both folders. Either may be -1, which fails. */
static int
walk_folder(struct walk *walk, int from, int to)
{
	DIR *folder = from < 0 || to < 0 ? NULL : fdopendir(from);
	struct dirent *entry;
	int result = folder == NULL ? -1 : 0;

	while (result == 0 && (entry = readdir(folder)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = walk->add(walk, from, entry->d_name, to);
	if (folder != NULL)
		closedir(folder);
	else if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return result;
}

static int
walk_into(struct walk *walk, int from, const char *name, int to)
{
	int below = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), result;

	walk->depth++;
	walk->count.folders++;
	result = walk_folder(walk, below, below < 0 ? -1 : make_folder(to, name));
	walk->depth--;
	return result;
}

/* For a folder of the host. */
static int
add_from_host(struct walk *walk, int from, const char *name, int to)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (S_ISREG(st.st_mode))
		return add_file(from, name, &st, to, name, &walk->count);
	if (S_ISLNK(st.st_mode))
		return add_link(from, name, to, name);
	if (S_ISDIR(st.st_mode) && walk->depth < walk->deepest && (st.st_mode & OPEN_TO_OTHERS) == OPEN_TO_OTHERS)
		return walk_into(walk, from, name, to);
	return 0;
}

/* Make the folders above `path`, which is relative, and open the last. *name becomes what comes behind it. */
static int
make_parents(int tree_fd, const char *path, const char **name)
{
	char part[NAME_MAX + 1];
	int at = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (const char *slash; at >= 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		int next;

		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		next = make_folder(at, part);
		close(at);
		at = next;
	}
	*name = path;
	return at;
}

/* Make one entry of the root. */
static int
add_entry(struct walk *walk, const struct rootfs_entry *entry, int tree_fd)
{
	const char *source = entry->source != NULL ? entry->source : entry->path, *name;
	int parent = make_parents(tree_fd, entry->path + 1, &name), result = -1;
	struct stat st;

	if (parent < 0)
		return -1;
	if (entry->kind == ROOTFS_LINK)
		result = symlinkat(entry->target, parent, name);
	else if (stat(source, &st) == 0 && entry->kind == ROOTFS_DEVICE)
		result = mknodat(parent, name, S_IFCHR | 0666, st.st_rdev);
	else if (entry->kind == ROOTFS_BIND && entry->is_dir)
		result = walk_folder(walk, open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC), make_folder(parent, name));
	else if (entry->kind == ROOTFS_BIND)
		result = stat(source, &st) != 0 ? -1 : add_file(AT_FDCWD, source, &st, parent, name, &walk->count);
	close(parent);
	return result;
}

/* Do devices work here? mknod(2) would not say so. */
static int
try_devices(int tree_fd)
{
	int fd = openat(tree_fd, "dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

int
chroot_tree_make(const struct rootfs *fs, int tree_fd, struct chroot_tree_count *count, char *error, size_t size)
{
	struct walk walk = { .add = add_from_host, .deepest = UINT_MAX };
	mode_t old_mask = umask(0);
	int result = 0;

	for (size_t i = 0; result == 0 && i < fs->count; i++) {
		if (add_entry(&walk, &fs->entry[i], tree_fd) != 0)
			result = failed(error, size, fs->entry[i].kind == ROOTFS_DEVICE ? "make the device" : "link",
			    fs->entry[i].path);
	}
	*count = walk.count;
	umask(old_mask);
	if (result == 0 && (symlinkat(PATH_TMP, tree_fd, "dev/shm") != 0 || mkdirat(tree_fd, &PATH_BOX[1], 0755) != 0 ||
	    mkdirat(tree_fd, &PATH_TMP[1], 0755) != 0))
		result = failed(error, size, "make", PATH_BOX);
	if (result == 0 && try_devices(tree_fd) != 0)
		result = failed(error, size, "use the device /dev/null in", "isolation.chroot_dir (is it mounted nodev?)");
	return result;
}

int
chroot_tree_add_dir(int tree_fd, const char *path, const char *from, char *error, size_t size)
{
	struct walk walk = { .add = add_from_host };
	int to = openat(tree_fd, path + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int folder = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return walk_folder(&walk, folder, to) == 0 ? 0 : failed(error, size, "link the files of", from);
}

/* For a folder of a tree: all is linked, and folders are made anew. */
static int
add_from_tree(struct walk *walk, int from, const char *name, int to)
{
	if (walk->depth == 0 && (strcmp(name, &PATH_BOX[1]) == 0 || strcmp(name, &PATH_TMP[1]) == 0))
		return 0;
	/* Links of directories are refused, so this says what it is. */
	if (linkat(from, name, to, name, 0) == 0)
		return 0;
	return errno == EPERM ? walk_into(walk, from, name, to) : -1;
}

int
chroot_tree_copy(int tree_fd, int parent_fd, const char *name)
{
	struct walk walk = { .add = add_from_tree };
	int from = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return walk_folder(&walk, from, from < 0 ? -1 : make_folder(parent_fd, name));
}
