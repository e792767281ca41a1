/* config_load.h - reads cellblock.conf and the files that it names. */
#ifndef CELLBLOCK_CONFIG_LOAD_H
#define CELLBLOCK_CONFIG_LOAD_H

#include <stddef.h>

#include "config.h"

/*
 * Read and check `path` and the files that it names. Returns a config for config_free; or NULL with
 * one line in `error`: FILE:LINE, the fault, and the allowed values.
 */
struct config *config_load(const char *path, char *error, size_t error_size);

void config_free(struct config *config);

#endif
