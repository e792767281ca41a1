/*
 * layers.h - which walls are required, and which are in force. Shown in the log and by GET /v1/sandbox/capabilities.
 *
 * A wall is in force when it has been put up and the self-test (selftest.h) has found that it holds. One that did not hold
 * once is not in force until a restart, whatever comes later.
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
		bool is_up;     /* there is something to prove */
		bool is_broken;
	} proof[LAYERS_MAX];
	size_t count;
};

/*
 * Add a row, which is not in force before it is proved. `is_up`: it has been put up, as far as can be told from outside.
 * `detail` says what was found, printf-style.
 */
void layers_add(struct layer_list *list, const char *name, bool required, bool is_up, const char *detail, ...)
    __attribute__((format(printf, 5, 6)));

/* Whether a row is there, and there is something to prove. */
bool layers_is_up(const struct layer_list *list, const char *name);

/* It holds. */
void layers_prove(struct layer_list *list, const char *name);

/* It does not: `detail` takes the place of what was said of it. Returns whether it is required. */
bool layers_break(struct layer_list *list, const char *name, const char *detail, ...) __attribute__((format(printf, 3, 4)));

/* The first required layer that is not in force; NULL if there is none. */
const struct proto_layer *layers_missing(const struct layer_list *list);

/* The first required layer that has been found not to hold; NULL if all of them may hold. */
const struct proto_layer *layers_broken(const struct layer_list *list);

#endif
