/*
 * layers.h - the layers of isolation: which are required, and which are in force. Shown in the log
 * and by GET /v1/sandbox/capabilities.
 *
 * A layer is in force when it has been put up and the self-test (selftest.h) has verified it. A
 * layer that failed once is not in force until a restart, whatever comes later.
 */
#ifndef CELLBLOCK_LAYERS_H
#define CELLBLOCK_LAYERS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto.h"

#define LAYERS_MAX 24

struct layer_list {
	struct proto_layer layer[LAYERS_MAX];
	struct layer_proof {
		bool is_up; /* it has been put up, and can be verified */
		bool is_broken;
	} proof[LAYERS_MAX];
	size_t count;
};

/*
 * Add a layer, which is not in force before it is verified. `is_up`: it has been put up, as far as
 * the start can see. `detail`: a description for the operator, printf-style.
 */
void layers_add(struct layer_list *list, const char *name, bool required, bool is_up, const char *detail, ...)
    __attribute__((format(printf, 5, 6)));

/* Whether the layer is in the list and has been put up. */
bool layers_is_up(const struct layer_list *list, const char *name);

/* The self-test has found that the layer holds. */
void layers_verify(struct layer_list *list, const char *name);

/* The layer does not hold. `detail` replaces its description. Returns whether it is required. */
bool layers_break(struct layer_list *list, const char *name, const char *detail, ...) __attribute__((format(printf, 3, 4)));

/* The first required layer that is not in force; NULL if there is none. */
const struct proto_layer *layers_missing(const struct layer_list *list);

/* The first required layer that has been found not to hold; NULL if all of them may hold. */
const struct proto_layer *layers_broken(const struct layer_list *list);

#endif
