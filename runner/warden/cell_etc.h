/*
 * cell_etc.h - the /etc of cells: what programs look up in it, and nothing else.
 *
 * Some files are of our own: users and groups, host names, the time zone. The others are copies of
 * the host's files that the configuration names (etc.files), if every user of the host may read
 * them. All cells have the same directory, read-only.
 */
#ifndef CELLBLOCK_CELL_ETC_H
#define CELLBLOCK_CELL_ETC_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

/* The most that is copied from the host, in bytes, and in files, directories and links. */
#define CELL_ETC_BYTES ((uint64_t)16 << 20)
#define CELL_ETC_ENTRIES 20000u

/*
 * Fill the empty directory `directory_fd`, whose file system needs room for CELL_ETC_BYTES at most.
 * Called with the host's /etc in sight, with the rights of the start. `single_uid`: no cell has a
 * uid of its own, so programs see themselves as 65534. Returns 0, or -1 with a text in `error`; the
 * directory is then incomplete and must not be used.
 */
int cell_etc_make(const struct config *config, bool single_uid, int directory_fd, char *error, size_t size);

/* Whether the zone of etc.timezone is on this host. Returns 0, or -1 with a text in `error`. */
int cell_etc_check(const struct config *config, char *error, size_t size);

#endif
