/* network.h - what programs find that may use the network: in their root and in their environment. */
#ifndef CELLBLOCK_NETWORK_H
#define CELLBLOCK_NETWORK_H

#include <stddef.h>

#include "config.h"
#include "rootfs.h"

#define NETWORK_ENV_MAX 16 /* variables */

/*
 * Add what the configured mode needs to the root of a language: names, and the certificates of authorities. Nothing where there
 * is no network. Returns 0, or -1 with a text in `error`.
 */
int network_add_root(struct rootfs *fs, const struct config *config, char *error, size_t size);

/* Write the variables to `env`, which has room for NETWORK_ENV_MAX. Called in that root. Returns how many there are. */
size_t network_env(const struct config *config, const char **env);

/* The mode in words, for who asks what is in force. */
const char *network_in_words(enum network mode);

#endif
