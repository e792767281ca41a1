/* config_language.h - a language's file, languages/NAME.conf. */
#ifndef CELLBLOCK_CONFIG_LANGUAGE_H
#define CELLBLOCK_CONFIG_LANGUAGE_H

#include <stddef.h>

#include "config.h"

/*
 * Read and check `path`; what it leaves out is as in `config`, whose languages so far it must fit. Returns a language for
 * config_language_free, or NULL with one line in `error` (FILE:LINE: what is wrong, and what is allowed).
 */
struct language_config *config_language_load(struct config *config, const char *path, char *error, size_t error_size);

void config_language_free(struct language_config *language);

#endif
