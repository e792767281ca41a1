/* layers.h - which walls are required, and which are in force. Shown in the log and by GET /v1/sandbox/capabilities. */
#ifndef CELLBLOCK_LAYERS_H
#define CELLBLOCK_LAYERS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto.h"

#define LAYERS_MAX 24

struct layer_list {
	struct proto_layer layer[LAYERS_MAX];
	size_t count;
};

/* Add a row. `detail` says what was found, printf-style. */
void layers_add(struct layer_list *list, const char *name, bool required, bool in_force, const char *detail, ...)
    __attribute__((format(printf, 5, 6)));

/* The first required layer that is not in force; NULL if there is none. */
const struct proto_layer *layers_missing(const struct layer_list *list);

#endif
