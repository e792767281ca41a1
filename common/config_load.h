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

/* The protocol of this name, as in adapters.protocols; -1: there is none. */
int config_adapter_find(const char *name);

/* Whether the protocol is served. */
bool config_has_adapter(const struct config *config, enum adapter_protocol protocol);

#endif
