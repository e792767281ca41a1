/* layers.c - see layers.h. Runs at the start, and in the broker. */
#include "broker/layers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
layers_add(struct layer_list *list, const char *name, bool required, bool is_up, const char *detail, ...)
{
	struct proto_layer *layer = &list->layer[list->count];
	va_list args;

	if (list->count == LAYERS_MAX)
		return;
	list->proof[list->count] = (struct layer_proof){ .is_up = is_up };
	list->count++;
	layer->required = required;
	snprintf(layer->name, sizeof layer->name, "%s", name);
	va_start(args, detail);
	vsnprintf(layer->detail, sizeof layer->detail, detail, args);
	va_end(args);
}

/* The index of the layer of this name, or LAYERS_MAX. */
static size_t
find(const struct layer_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->layer[i].name, name) == 0)
			return i;
	}
	return LAYERS_MAX;
}

bool
layers_is_up(const struct layer_list *list, const char *name)
{
	size_t i = find(list, name);

	return i < LAYERS_MAX && list->proof[i].is_up;
}

void
layers_verify(struct layer_list *list, const char *name)
{
	size_t i = find(list, name);

	if (i < LAYERS_MAX && list->proof[i].is_up && !list->proof[i].is_broken)
		list->layer[i].in_force = true;
}

bool
layers_break(struct layer_list *list, const char *name, const char *detail, ...)
{
	size_t i = find(list, name);
	va_list args;

	if (i == LAYERS_MAX)
		return true;
	list->layer[i].in_force = false;
	if (!list->proof[i].is_broken) {
		va_start(args, detail);
		vsnprintf(list->layer[i].detail, sizeof list->layer[i].detail, detail, args);
		va_end(args);
	}
	list->proof[i].is_broken = true;
	return list->layer[i].required != 0;
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

const struct proto_layer *
layers_broken(const struct layer_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->layer[i].required && list->proof[i].is_broken)
			return &list->layer[i];
	}
	return NULL;
}
