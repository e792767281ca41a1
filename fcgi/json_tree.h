/* json_tree.h - a body of JSON as a tree of json-c: parsed within bounds, and its values. */
#ifndef CELLBLOCK_JSON_TREE_H
#define CELLBLOCK_JSON_TREE_H

#include <stddef.h>

#include "http_error.h"
#include "text.h"

#define JSON_TREE_VALUES 16384 /* of a request without tests */

struct json_object;

/*
 * Parse a text that begins with an object, or a form (form.h). Bytes that are not UTF-8 become
 * U+FFFD. It has at most `most_values` values. Returns the tree, for json_object_put; or NULL with
 * `error` set.
 *
 * The values are counted first: json-c needs a hundred times the two bytes of an empty list, so a
 * body of a few megabytes could otherwise take a gigabyte of memory.
 */
struct json_object *json_tree_parse(const char *body, size_t size, size_t most_values, struct http_error *error);

/* A member of an object; NULL if it is missing or null. It stays the tree's. */
struct json_object *json_tree_member(struct json_object *object, const char *name);

/* The bytes of a string, which stay the tree's. */
struct text json_tree_text(struct json_object *string);

#endif
