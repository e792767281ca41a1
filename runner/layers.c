/* layers.c - see layers.h. */
#include "layers.h"

#include <stdarg.h>
#include <stdio.h>

void
layers_add(struct layer_list *list, const char *name, bool required, bool in_force, const char *detail, ...)
{
	struct proto_layer *layer = &list->layer[list->count];
	va_list args;

	if (list->count == LAYERS_MAX)
		return;
	list->count++;
	layer->required = required;
	layer->in_force = in_force;
	snprintf(layer->name, sizeof layer->name, "%s", name);
	va_start(args, detail);
	vsnprintf(layer->detail, sizeof layer->detail, detail, args);
	va_end(args);
}

const struct proto_layer *
layers_missing(const struct layer_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->layer[i].required && !list->layer[i].in_force)
			return &list->layer[i];
	}
	return NULL;
}
