/*
 * cgroup_open.h - makes the control groups of the runner and of its cells.
 *
 * Everything here needs rights that the runner has at its start only; broker/cgroup.h has the rest.
 */
#ifndef CELLBLOCK_CGROUP_OPEN_H
#define CELLBLOCK_CGROUP_OPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/cgroup.h"

/*
 * Find the hierarchies, make our directory `name` in each, and give it to `owner`. `parent`: the
 * group of version 2 in which to make it; NULL: look for one. With version 2 this process moves
 * into a group below ours, so that its descendants can be born in those of cells. Returns 0, or -1
 * with a text in `error`; then nothing that it made is left.
 */
int cgroup_open(struct cgroup_tree *tree, const char *parent, const char *name, uid_t owner, char *error, size_t size);

/*
 * Whether the groups of a runner with this isolation.cgroup_parent are of version 2, where a group
 * with processes of its own can have none below it with controllers.
 */
bool cgroup_open_is_version_2(const char *parent);

/*
 * Make the group of cell `number`, and open its files; they are never closed. `cpu_percent`: its
 * share of CPU time, in percent of one core. `has_sockets`: its runs may have sockets, whose
 * buffers version 1 counts apart from all other memory. Returns 0, or -1 with a text in `error`.
 */
int cgroup_open_cell(const struct cgroup_tree *tree, unsigned number, unsigned cpu_percent, bool has_sockets,
    struct cgroup_cell *cell, char *error, size_t size);

/* Keep the directory open in which the broker makes pids groups anew (cgroup_renew_pids). */
void cgroup_open_keep(struct cgroup_tree *tree);

/* Close the descriptors of our directories: they are not needed when the cells' groups are made. */
void cgroup_open_close(struct cgroup_tree *tree);

/*
 * Undo cgroup_open: this process goes back to its old group, our directories are removed if they
 * are empty, and the group above has the controllers that it had before.
 */
void cgroup_open_undo(struct cgroup_tree *tree);

/*
 * Remove all groups that an earlier runner with this name left: all empty ones of that name, and
 * those below them, wherever that runner was started.
 */
void cgroup_open_clean(const char *name);

#endif
