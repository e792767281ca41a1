/*
 * renewal.h - the steps by which the init of a cell empties it for another run, at level
 * namespaces.
 *
 * A guest has no capability. So of all that makes up a cell it can change only this: processes,
 * the files of the cell's tmpfs, names of Unix sockets, and the count of pids. The steps put that
 * back, and verify it. A step that finds more than it can put back fails; then the cell is unmade,
 * and another one is made.
 *
 * They run in an init, which shares the warden's memory, while the warden waits. They allocate
 * nothing. Each returns 0, or -1 with errno.
 */
#ifndef CELLBLOCK_RENEWAL_H
#define CELLBLOCK_RENEWAL_H

#include <sys/types.h>

/* The most files that a run may leave in /box and in /tmp, each. */
#define RENEWAL_FILES_MAX 32

/*
 * Verify that the caller is the only process of its pid namespace. EBUSY: it is not, and all others
 * have been killed.
 */
int renewal_verify_alone(void);

/* Verify that the caller's network namespace has no Unix socket. EBUSY: it has. */
int renewal_verify_sockets(void);

/*
 * Remove the files in /box and /tmp, and give the two directories to `uid` as they were when they
 * were new. ENOTEMPTY: there are more files than RENEWAL_FILES_MAX, directories, attributes of a
 * directory, or files without a name that something holds.
 */
int renewal_empty_disk(uid_t uid);

/*
 * Have the next process of the caller's pid namespace be pid 2. `last_pid_fd`:
 * /proc/sys/kernel/ns_last_pid of any procfs, open for writing.
 */
int renewal_restart_pids(int last_pid_fd);

#endif
