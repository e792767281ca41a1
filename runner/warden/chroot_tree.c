/*
 * chroot_tree.c - see chroot_tree.h. Runs in wardens: the first tree is made from the files that
 * the operator has installed, the trees of cells from the first one.
 */
#define _GNU_SOURCE
#include "warden/chroot_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel/public_copy.h"
#include "paths.h"

#define OPEN_TO_OTHERS (S_IROTH | S_IXOTH)

static int
failed(char *error, size_t size, const char *step, const char *path)
{
	snprintf(error, size, "%s %s: %s", step, path, strerror(errno));
	return -1;
}

static int
copy_file(int from, const char *source, mode_t mode, int to, const char *name)
{
	int in = openat(from, source, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), error;
	int out = in < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0755);
	ssize_t n = -1;

	if (out >= 0)
		do
			n = sendfile(out, in, NULL, 1u << 30);
		while (n > 0);
	error = errno;
	if (in >= 0)
		close(in);
	if (out >= 0 && close(out) != 0)
		return -1;
	errno = error;
	return n == 0 ? 0 : -1;
}

/*
 * Add a file of the host. It is linked only if root owns it and nobody else can write it: else a
 * change on the host would show in the cells. Returns 0, also for a file that is left out; or -1
 * with errno.
 */
static int
add_file(int from, const char *source, const struct stat *st, int to, const char *name, bool copies,
    struct chroot_tree_count *count)
{
	if ((st->st_mode & S_IROTH) == 0 || (st->st_mode & (S_ISUID | S_ISGID)) != 0)
		return 0;
	errno = 0; /* it says below whether a link was tried in vain */
	if (!copies && st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 && linkat(from, source, to, name, 0) == 0) {
		count->links++;
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	count->copies++;
	return copy_file(from, source, st->st_mode, to, name) == 0 || errno == EEXIST ? 0 : -1;
}

/* A walk through a directory, whose entries are added to another one. */
struct walk {
	int (*add)(struct walk *walk, int from, const char *name, int to); /* adds one entry. Returns 0, or -1 with errno */
	unsigned depth, deepest; /* how deep the walk is; from `deepest` on directories are left out */
	bool has_usr;            /* of a walk through a tree: /usr is there already */
	bool copies;             /* of a walk through the host: no file is linked */
	struct chroot_tree_count count;

	/* Of a walk through directories of the host: */
	const struct strings *left_out; /* host paths */
	struct tree_stamp *stamp;       /* gets each directory; NULL: there is none */
	char path[PATH_MAX];            /* where it is; "": not known */
};

/*
 * Add all entries of `from` to `to`. Closes both. Either may be -1, which fails. Returns 0, or -1
 * with errno.
 */
static int
walk_directory(struct walk *walk, int from, int to)
{
	DIR *directory = from < 0 || to < 0 ? NULL : fdopendir(from);
	struct dirent *entry;
	int result = directory == NULL ? -1 : 0;

	while (result == 0 && (entry = readdir(directory)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = walk->add(walk, from, entry->d_name, to);
	if (directory != NULL)
		closedir(directory);
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
	walk->count.directories++;
	result = walk_directory(walk, below, below < 0 ? -1 : public_copy_directory(to, name));
	walk->depth--;
	return result;
}

static bool
is_left_out(const struct walk *walk)
{
	for (size_t i = 0; walk->left_out != NULL && i < walk->left_out->count; i++) {
		if (fnmatch(walk->left_out->item[i], walk->path, FNM_PATHNAME) == 0)
			return true;
	}
	return false;
}

static void
add_to_stamp(struct walk *walk, const char *path, const struct stat *st)
{
	if (walk->stamp != NULL)
		tree_stamp_add(walk->stamp, path, st);
}

/* Add the directory walk->path of the host, unless it is left out. */
static int
add_directory(struct walk *walk, int from, const char *name, const struct stat *st, int to)
{
	if (walk->depth >= walk->deepest || (st->st_mode & OPEN_TO_OTHERS) != OPEN_TO_OTHERS || is_left_out(walk))
		return 0;
	add_to_stamp(walk, walk->path, st);
	return walk_into(walk, from, name, to);
}

/* Add an entry of a directory of the host. */
static int
add_from_host(struct walk *walk, int from, const char *name, int to)
{
	size_t length = strlen(walk->path);
	struct stat st;
	int result = 0;

	/* An installation may be going on: a file that has gone is like one that never was. */
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -1;
	if (S_ISREG(st.st_mode))
		return add_file(from, name, &st, to, name, walk->copies, &walk->count) == 0 || errno == ENOENT ? 0 : -1;
	if (S_ISLNK(st.st_mode))
		return public_copy_link(from, to, name) == 0 || errno == ENOENT ? 0 : -1;
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (snprintf(walk->path + length, sizeof walk->path - length, "/%s", name) < (int)(sizeof walk->path - length))
		result = add_directory(walk, from, name, &st, to);
	walk->path[length] = '\0';
	return result;
}

/*
 * Make the directories above `path`, which is relative, and open the last one. *name becomes the
 * last part of the path.
 */
static int
make_parents(int tree_fd, const char *path, const char **name)
{
	char part[NAME_MAX + 1];
	int at = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (const char *slash; at >= 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		int next;

		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		next = public_copy_directory(at, part);
		close(at);
		at = next;
	}
	*name = path;
	return at;
}

/* Make one entry of the list. */
static int
add_entry(struct walk *walk, const struct rootfs_entry *entry, int tree_fd)
{
	const char *source = entry->source != NULL ? entry->source : entry->path, *name;
	int parent = make_parents(tree_fd, entry->path + 1, &name), result = -1;
	struct stat st;

	if (parent < 0)
		return -1;
	if (entry->kind == ROOTFS_LINK)
		result = symlinkat(entry->target, parent, name) == 0 || errno == EEXIST ? 0 : -1;
	else if (stat(source, &st) == 0 && entry->kind == ROOTFS_DEVICE)
		result = mknodat(parent, name, S_IFCHR | 0666, st.st_rdev);
	else if (entry->kind == ROOTFS_BIND && stat(source, &st) == 0) {
		add_to_stamp(walk, source, &st);
		snprintf(walk->path, sizeof walk->path, "%s", source);
		/*
		 * A file with another source takes the place of the host's: certificates, which
		 * etc.files names.
		 */
		if (entry->source != NULL && !entry->is_dir)
			unlinkat(parent, name, 0);
		result = is_left_out(walk) ?
		    0 :
		    entry->is_dir ?
		    walk_directory(walk, open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC), public_copy_directory(parent, name)) :
		    add_file(AT_FDCWD, source, &st, parent, name, walk->copies, &walk->count);
	}
	close(parent);
	return result;
}

/* Open a device: mknod(2) works on a file system that is mounted nodev, too. */
static int
try_devices(int tree_fd)
{
	int fd = openat(tree_fd, "dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/*
 * To make a link to a file of an image, overlayfs copies the file, which takes twice as long as a
 * copy of our own, and gives the file of the container another inode.
 */
static bool
is_on_overlayfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

int
chroot_tree_make(const struct rootfs *fs, const struct strings *left_out, int tree_fd, struct tree_stamp *stamp,
    struct chroot_tree_count *count, char *error, size_t size)
{
	struct walk walk = { .add = add_from_host,
		.deepest = UINT_MAX,
		.left_out = left_out,
		.stamp = stamp,
		.copies = is_on_overlayfs(tree_fd) };
	mode_t old_mask = umask(0);
	int result = 0;

	for (size_t i = 0; result == 0 && i < fs->count; i++) {
		if (add_entry(&walk, &fs->entry[i], tree_fd) != 0)
			result = failed(error, size, fs->entry[i].kind == ROOTFS_DEVICE ? "make the device" : "link",
			    fs->entry[i].path);
	}
	*count = walk.count;
	umask(old_mask);
	if (result == 0 &&
	    (symlinkat(PATH_TMP, tree_fd, "dev/shm") != 0 || mkdirat(tree_fd, &PATH_BOX[1], 0755) != 0 ||
	        mkdirat(tree_fd, &PATH_TMP[1], 0755) != 0))
		result = failed(error, size, "make", PATH_BOX);
	if (result == 0 && try_devices(tree_fd) != 0)
		result = failed(error, size, "use the device /dev/null in", "isolation.chroot_dir (is it mounted nodev?)");
	return result;
}

int
chroot_tree_add_usr(int tree_fd, const struct strings *left_out, struct tree_stamp *stamp, struct chroot_tree_count *count,
    char *error, size_t size)
{
	struct walk walk = { .add = add_from_host, .deepest = UINT_MAX, .left_out = left_out, .stamp = stamp };
	const struct rootfs_entry usr = { .kind = ROOTFS_BIND, .path = (char[]){ "/usr" }, .is_dir = true, .tree_fd = -1 };
	mode_t old_mask = umask(0);
	int result = add_entry(&walk, &usr, tree_fd);

	umask(old_mask);
	*count = walk.count;
	return result == 0 ? 0 : failed(error, size, "link", usr.path);
}

int
chroot_tree_add_dir(int tree_fd, const char *path, const char *from, char *error, size_t size)
{
	struct walk walk = { .add = add_from_host };
	int to = openat(tree_fd, path + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int source = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return walk_directory(&walk, source, to) == 0 ? 0 : failed(error, size, "link the files of", from);
}

/* Add an entry of the first tree: files are linked, directories are made anew. */
static int
add_from_tree(struct walk *walk, int from, const char *name, int to)
{
	if (walk->depth == 0 &&
	    (strcmp(name, &PATH_BOX[1]) == 0 || strcmp(name, &PATH_TMP[1]) == 0 || (walk->has_usr && strcmp(name, "usr") == 0)))
		return 0;
	/* The kernel denies links of directories, so there is no need for a stat(2). */
	if (linkat(from, name, to, name, 0) == 0)
		return 0;
	return errno == EPERM ? walk_into(walk, from, name, to) : -1;
}

int
chroot_tree_copy(int tree_fd, int parent_fd, const char *name)
{
	struct walk walk = { .add = add_from_tree };
	int from = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return walk_directory(&walk, from, from < 0 ? -1 : public_copy_directory(parent_fd, name));
}

int
chroot_tree_copy_rest(int tree_fd, int to_fd)
{
	struct walk walk = { .add = add_from_tree, .has_usr = true };
	int from = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return walk_directory(&walk, from, from < 0 ? -1 : openat(to_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}
