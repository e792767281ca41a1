/*
 * tree_stamp.h - level chroot: whether the files that a tree has links to are still those of the
 * host.
 *
 * An installation makes, removes or replaces files, and each of that changes the time of their
 * directory. So the stamp of a tree is made of its host directories, with their times, and is
 * compared without a look into any of them. A file that is changed in its place needs no stamp: the
 * links lead to it.
 */
#ifndef CELLBLOCK_TREE_STAMP_H
#define CELLBLOCK_TREE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

/*
 * Compare a directory's inode and its time, or only the seconds of its time: an image has other
 * inodes where it is used, and its times are whole seconds.
 */
enum tree_stamp_kind { STAMP_OF_HOST, STAMP_OF_IMAGE };

struct tree_stamp {
	FILE *paths; /* each with a NUL behind it; NULL: nothing is kept */
	enum tree_stamp_kind kind;
	uint64_t digest;
};

/*
 * Begin a stamp in the new file `name` of the directory `dir_fd`. Returns 0, or -1 with errno.
 */
int tree_stamp_begin(struct tree_stamp *stamp, int dir_fd, const char *name, enum tree_stamp_kind kind);

/*
 * Add the host's directory or file `path`, an absolute path, of which *st was read before anything
 * in it.
 */
void tree_stamp_add(struct tree_stamp *stamp, const char *path, const struct stat *st);

/*
 * Add the host's directory `path`, and those below it that have a counterpart below the open
 * directory `copy_fd`. Returns 0, or -1 with errno.
 */
int tree_stamp_add_copied(struct tree_stamp *stamp, int copy_fd, const char *path);

/* Write the stamp to the end, and close it. Returns 0, or -1 with errno. */
int tree_stamp_finish(struct tree_stamp *stamp);

/*
 * Whether everything in the file is as it was when the stamp was made, as one of this kind. False
 * if the file cannot be read.
 */
bool tree_stamp_holds(int dir_fd, const char *name, enum tree_stamp_kind kind);

#endif
