/*
 * uid_lock.h - a runner's range of uids on the host, held against all other runners.
 *
 * The kernel counts by uid, and at level chroot a cell is killed by its uid. So two runners must
 * not share one. The ranges are locks on bytes of one empty file, UID_LOCK_FILE: byte N stands for
 * uid N. The kernel finds overlaps, and a lock ends with the last process that holds its
 * descriptor.
 */
#ifndef CELLBLOCK_UID_LOCK_H
#define CELLBLOCK_UID_LOCK_H

#include <stddef.h>
#include <stdint.h>

#define UID_LOCK_FILE "/run/cellblock.uids"

/*
 * Lock `count` uids from `first` on. Waits for at most `wait_ms` while another runner, which may be
 * ending, has one of them. Needs root. Returns a close-on-exec descriptor that holds the lock and
 * is the caller's; -1 with a text in `error` if another runner has one of the uids; or -2, with a
 * text, if no such file can be had here.
 */
int uid_lock_take(const char *path, uint32_t first, uint32_t count, unsigned wait_ms, char *error, size_t size);

#endif
