/*
 * inherit_fds.h - exactly the descriptors that a forked child is to have, at the numbers where it
 * expects them.
 *
 * A child of fork(2) has a copy of every descriptor of its parent. Each process of the runner must
 * hold only its own: one that is left over keeps a socket's other end from seeing its close, or is
 * a way to another process's files.
 */
#ifndef CELLBLOCK_INHERIT_FDS_H
#define CELLBLOCK_INHERIT_FDS_H

#include <stdbool.h>
#include <stddef.h>

#define INHERIT_FDS_FIRST 3 /* the first number behind stdin, stdout and stderr, which stay */
#define INHERIT_FDS_MAX 8   /* descriptors at most */

/*
 * Duplicate `from[0]` to the number `first`, `from[1]` to `first` + 1, and so on. A source may have
 * a number at which another one is to be placed. `is_close_on_exec`: the flag of the duplicates.
 * The sources stay open unless their number is taken. Returns 0, or -1 with errno; then some of the
 * numbers may be placed.
 */
int inherit_fds_place(const int *from, size_t count, int first, bool is_close_on_exec);

/*
 * Place `from` from INHERIT_FDS_FIRST on, and close every other descriptor but 0, 1 and 2. Returns
 * 0, or -1 with errno; then the caller must end its process, since descriptors that it must not
 * have may be open.
 */
int inherit_fds_only(const int *from, size_t count, bool is_close_on_exec);

#endif
