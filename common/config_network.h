/* config_network.h - the part of cellblock.conf about networks, for config_load.c. */
#ifndef CELLBLOCK_CONFIG_NETWORK_H
#define CELLBLOCK_CONFIG_NETWORK_H

#include "conf_schema.h"
#include "config.h"

/* The group `network`, for a struct config. */
extern const struct conf_key config_network_keys[];

/*
 * Read the proxies, and check that mode "proxy" has at least one. Returns 0, or -1 with the file's
 * error set.
 */
int config_network_read(const struct conf_file *file, struct config *config);

void config_network_free(struct config *config);

/* The index of a proxy by its name, or -1. */
int config_network_find_proxy(const struct config *config, const char *name);

#endif
