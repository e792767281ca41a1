/*
 * dirtree.h - empties and measures directories in which a program may have put anything. No link
 * and no mount is followed.
 */
#ifndef CELLBLOCK_DIRTREE_H
#define CELLBLOCK_DIRTREE_H

#include <stdint.h>

/*
 * Remove everything in the directory `name` of `parent_fd`. The directory itself stays, with mode
 * 0700. No other process may be at work in it. The caller is its owner, or root with
 * CAP_DAC_OVERRIDE; modes that are in its way are changed. Needs up to 20 descriptors, however
 * deep the directories are nested. Returns 0, or -1 with errno.
 */
int dirtree_empty(int parent_fd, const char *name);

/*
 * Remove the directory `name` of `parent_fd` and everything in it, as dirtree_empty does. Returns
 * 0, also if there is none; or -1 with errno.
 */
int dirtree_remove(int parent_fd, const char *name);

struct dirtree_size {
	uint64_t bytes;   /* of the blocks of all files with a name */
	uint64_t largest; /* the length of the longest file, in bytes */
	uint64_t entries; /* files and directories */
};

/*
 * Add everything in the directory `name` of `parent_fd` to *size, while a program may be at work in
 * it. Entries that vanish meanwhile are not counted. Stops at `most_entries`; directories that are
 * nested deeper than DIRTREE_DEPTH_MAX count as that many.
 */
void dirtree_measure(int parent_fd, const char *name, uint64_t most_entries, struct dirtree_size *size);

#define DIRTREE_DEPTH_MAX 64

#endif
