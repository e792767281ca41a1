/*
 * public_copy.h - copies files of the host that every user may read, and nothing else.
 *
 * The caller may have more rights than "others". So the modes decide, not the kernel: a file needs
 * the right to read for others, and each directory above it the rights to read and to search.
 */
#ifndef CELLBLOCK_PUBLIC_COPY_H
#define CELLBLOCK_PUBLIC_COPY_H

#include <stdint.h>

/* The rest that may still be copied. */
struct public_copy {
	uint64_t bytes;   /* of files */
	uint64_t entries; /* files, directories and links */
};

/*
 * Copy `path`, a relative path without "..", from the directory `from` into the directory `to`, at
 * the same path. Directories are copied with everything in them that is public. Symbolic links are
 * copied as links; none is followed, not even above the last part of `path`. Whatever exists in
 * `to` stays. Anything that is not public, or that is neither file, directory nor link, is left
 * out. New files belong to the caller, with mode 0644 or 0755.
 *
 * Returns 0, also if nothing was copied; or -1 with errno. EFBIG: it is more than *left allows.
 */
int public_copy(int from, int to, const char *path, struct public_copy *left);

/*
 * Copy `path`, which may have links in it, to the new file `name` of the directory `to`. Returns 0;
 * or -1 with errno: EACCES if others may not read it.
 */
int public_copy_file(const char *path, int to, const char *name, struct public_copy *left);

/*
 * Copy the symbolic link `name` of `from` to `to`, unless `to` has that name. Returns 0, or -1 with
 * errno.
 */
int public_copy_link(int from, int to, const char *name);

/*
 * Open the directory `name` of `to`, and make it if it does not exist. Returns a descriptor, or -1
 * with errno.
 */
int public_copy_directory(int to, const char *name);

#endif
