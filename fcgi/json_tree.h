/* json_tree.h - JSON text as a tree of json-c, within bounds. */
#ifndef CELLBLOCK_JSON_TREE_H
#define CELLBLOCK_JSON_TREE_H

#include <stddef.h>

#include "http_error.h"

struct json_object;

/*
 * Parse a text that is one object and nothing else. Returns the tree for json_object_put, or NULL
 * and what to answer.
 *
 * The values are counted first: an empty list costs json-c a hundred times its two bytes, so
 * otherwise a body of a few megabytes would be worth a gigabyte of memory.
 */
struct json_object *json_tree_parse(const char *body, size_t size, struct http_error *error);

#endif
