/* config_language.h - reads a language's file, languages/NAME.conf. */
#ifndef CELLBLOCK_CONFIG_LANGUAGE_H
#define CELLBLOCK_CONFIG_LANGUAGE_H

#include <stddef.h>

#include "config.h"

/*
 * Read and check `path`. Limits that it leaves out are those of `config`. Its names must differ
 * from those of the languages that `config` has so far, and its armed cells must fit beside theirs.
 * Returns a language for config_language_free; or NULL with one line in `error`: FILE:LINE, the
 * fault, and the allowed values.
 */
struct language_config *config_language_load(struct config *config, const char *path, char *error, size_t error_size);

/* The index of a language by name or alias, or -1. */
int config_language_find(const struct config *config, const char *name);

/*
 * Find the default of each family. Returns 0, or -1 with one line in `error`: a family has none.
 */
int config_language_check_families(const struct config *config, char *error, size_t error_size);

void config_language_free(struct language_config *language);

#endif
