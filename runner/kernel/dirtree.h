/* folder.h - folders in which a program may have put anything: emptied, and measured, without following anything. */
#ifndef CELLBLOCK_FOLDER_H
#define CELLBLOCK_FOLDER_H

#include <stdint.h>

/*
 * Remove all that is in the folder `name` of `parent_fd`, which is left, with mode 0700. Nobody else may be at work in it. What
 * is in the way of its owner, who calls this, or of root with CAP_DAC_OVERRIDE, are modes only, and they are changed. However
 * deep the folders are in each other, this needs three descriptors. Returns 0, or -1 with errno.
 */
int dirtree_empty(int parent_fd, const char *name);

/* The same, and the folder itself. One that is not there is no failure. */
int dirtree_remove(int parent_fd, const char *name);

struct dirtree_size {
	uint64_t bytes; /* of the blocks of what has a name */
	uint64_t largest; /* length of a file */
	uint64_t entries;
};

/*
 * Add up what is in the folder `name` of `parent_fd`, while a program may be at work in it. What can no longer be found is not
 * there. Ends as soon as there are `most_entries`; folders that lie deeper than FOLDER_DEPTH_MAX count as so many.
 */
void dirtree_measure(int parent_fd, const char *name, uint64_t most_entries, struct dirtree_size *size);

#define FOLDER_DEPTH_MAX 64

#endif
