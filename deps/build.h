/*
 * build.h - makes the set of packages that a language's requirements name, and has runs use it.
 */
#ifndef CELLBLOCK_DEPS_BUILD_H
#define CELLBLOCK_DEPS_BUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "set.h"

enum build_mode {
	BUILD_IF_CHANGED, /* only if the requirements differ from those of the set in use */
	BUILD_ANYWAY,     /* for newer versions of packages whose version is open */
};

enum build_end {
	BUILD_NOTHING,  /* the set in use fits */
	BUILD_SWITCHED, /* new runs use the new set, or none, if no package is named any more */
	BUILD_JOINED,   /* the same, by a build that another one asked for meanwhile */
	BUILD_FAILED,   /* the old set stays in use */
};

/*
 * Build for `language`, which has packages. Waits for another build of it; if that began after
 * this call, its end is that of this one. `reason` says why it failed.
 */
enum build_end build(const struct config *config, const struct language_config *language, enum build_mode mode,
    char reason[SET_REASON_SIZE]);

/* Whether the set in use fits the requirements. `reason` gets a text that says why not. */
bool build_is_current(const struct config *config, const struct language_config *language, char reason[SET_REASON_SIZE]);

/*
 * Wait until all new runs have the set in use, or none where there is none, for `ms` at most.
 * Returns whether they do.
 */
bool build_wait_for_use(const struct config *config, const struct language_config *language, unsigned ms);

#endif
