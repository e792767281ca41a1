/*
 * set.h - the sets of packages of a language on the disk.
 *
 *     dependencies.sets/LANGUAGE/
 *         set-N       a set, as the installer made it; nobody can write to it once it is complete
 *         current     a symbolic link to the set that runs have
 *         lock        locked while a set is made or removed
 *         record      of the set in use: what it was made from
 *         failure     of the last build that failed: the same, and why
 *         log         all that the installer printed in the last build
 *
 * The installers write absolute paths into a set, so it is made where it stays. It counts when
 * `current` names it. A runner that serves holds locks on the sets that it uses (enum set_lock).
 */
#ifndef CELLBLOCK_DEPS_SET_H
#define CELLBLOCK_DEPS_SET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config_dependencies.h"

#define SET_DIGEST_SIZE 65 /* SHA-256 in hexadecimal, and a NUL */
#define SET_REASON_SIZE 4096

struct set_place {
	char path[PATH_MAX - 64]; /* dependencies.sets/LANGUAGE */
	int lock_fd;
};

/* The end of a build, and its origin. */
struct set_record {
	char requirements[SET_DIGEST_SIZE]; /* of the files that name the packages */
	char contents[SET_DIGEST_SIZE];     /* of the set; "" if there is none */
	uint64_t ended_us;                  /* since 1970 */
};

/*
 * Open the place of a language, make it if need be, and wait until nobody else builds for it.
 * Returns 0, and the place is then for set_close; or -1 with one line in `error`.
 */
int set_open(struct set_place *place, const char *directory, const char *language, char *error, size_t size);
void set_close(struct set_place *place);

/*
 * Make the directory of a new set, empty. `path` gets it. Sets that neither are nor were in use are
 * removed before. Returns 0, or -1 with one line in `error`.
 */
int set_begin(struct set_place *place, char *path, size_t path_size, char *error, size_t size);

/*
 * Complete the set at `path`: take all rights to write, and compute the digest of all of it.
 * Returns 0, or -1 with one line in `error`.
 */
int set_seal(const char *path, char digest[SET_DIGEST_SIZE], char *error, size_t size);

/*
 * Have new runs use the set at `path`, or none if it is NULL, and write its record. Returns 0, or
 * -1 with one line in `error`; the old one stays in use then.
 */
int set_switch(struct set_place *place, const char *path, const struct set_record *record, char *error, size_t size);

/* Remove the set at `path`, which nobody uses. */
void set_remove(const char *path);

/* The disk space of a directory in bytes, with all that is in it. */
uint64_t set_bytes(const char *path);

/* Whether a runner holds this lock on the set at `path`. */
bool set_is_locked(const char *path, enum set_lock lock);

/* The same for any set in `directory`, the place of a language. */
bool set_is_any_locked(const char *directory, enum set_lock lock);

/* Read the record of the set in use. Returns whether there is one. */
bool set_read_record(const struct set_place *place, struct set_record *record);

/* The same for the last failure, with its reason. */
bool set_read_failure(const struct set_place *place, struct set_record *record, char reason[SET_REASON_SIZE]);

/* Remember a failure. What cannot be written is lost. */
void set_write_failure(const struct set_place *place, const struct set_record *record, const char *reason);

#endif
