/*
 * config_dependencies.h - reads the part of the configuration that is about packages, and finds the
 * set of packages that a language has.
 */
#ifndef CELLBLOCK_CONFIG_DEPENDENCIES_H
#define CELLBLOCK_CONFIG_DEPENDENCIES_H

#include <stddef.h>

#include "conf_schema.h"
#include "config.h"

/* Where cells and installers see the set of a language: below this directory, by its name. */
#define PACKAGES_PLACE "/packages"

/*
 * The bytes of a set's directory on which runners hold read locks (F_OFD_SETLK). cellblock-deps
 * learns from them how far its sets have come.
 */
enum set_lock {
	SET_LOCK_USED,     /* a runner uses the set: it must not be removed */
	SET_LOCK_ALL_RUNS, /* all new runs have the set: they come to this runner alone */
};

extern const struct conf_key config_dependencies_keys[]; /* of the group "dependencies" */

/* Check what the table cannot. Returns 0, or -1 with the file's error set. */
int config_dependencies_check(const struct conf_file *file, const struct config *config);

/*
 * The directory of the set that the language has now, without symbolic links. Returns 0, or -1: it
 * has none.
 */
int config_dependencies_find(const struct language_config *language, char *path, size_t size);

#endif
