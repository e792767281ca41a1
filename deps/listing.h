/* listing.h - the packages that the programs of a language can import. */
#ifndef CELLBLOCK_DEPS_LISTING_H
#define CELLBLOCK_DEPS_LISTING_H

#include <stddef.h>

#include "config.h"

struct json_object;

/*
 * Ask the language's interpreter, in a cell: the packages of its set and those of the host. Returns
 * an array of objects with "name" and "version", sorted by name, for json_object_put; or NULL with
 * one line in `error`.
 */
struct json_object *listing_make(const struct config *config, const struct language_config *language, char *error, size_t size);

#endif
