/* cgroup_find.h - finds the control group hierarchies, and the groups in which this process is. */
#ifndef CELLBLOCK_CGROUP_FIND_H
#define CELLBLOCK_CGROUP_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether `word` is in a list whose words are separated by `separator`, and end with the line. */
bool cgroup_find_word(const char *list, const char *word, char separator);

/*
 * Find where the hierarchy of a controller (NULL: version 2) is mounted, by /proc/self/mounts.
 * `path`: "" if nowhere.
 */
void cgroup_find_mount(const char *controller, char *path, size_t size);

/*
 * Find the group of this process, as a path below the mount of `controller`'s hierarchy (NULL:
 * version 2).
 */
void cgroup_find_own(const char *controller, char *path, size_t size);

/* Whether the controllers that we need are in the hierarchy of version 2, mounted at `mount`. */
bool cgroup_find_is_version_2(const char *mount);

/*
 * The least memory limit, in bytes, of the group of this process and of those above it; UINT64_MAX:
 * there is none. `parent`: the group of version 2 for the cells, as in cgroup_open; NULL: that of
 * this process.
 */
uint64_t cgroup_find_memory_limit(const char *parent);

#endif
