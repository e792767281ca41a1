/* check_host.h - says which layers this host offers, and what to do where one is missing. */
#ifndef CELLBLOCK_CHECK_HOST_H
#define CELLBLOCK_CHECK_HOST_H

#include "config.h"

/*
 * Try every layer, and print a row for each. Returns the exit status: 1 if one that `config`
 * requires is missing.
 */
int check_host(const struct config *config);

#endif
