/* request_collect.c - see request_collect.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "request_collect.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "path_fault.h"

static int
check_pattern(struct json_object *value, size_t at, struct http_error *error)
{
	struct text text;
	const char *fault;

	if (!json_object_is_type(value, json_type_string))
		return http_error_set(error, 400, "collect[%zu]: must be a string", at);
	text = (struct text){ json_object_get_string(value), (size_t)json_object_get_string_len(value) };
	fault = path_fault(&text);
	return fault == NULL ? 0 : http_error_set(error, 400, "collect[%zu]: %s", at, fault);
}

/* How the files come back: as their content, or as ids of files in the store. */
static int
take_form(const struct config *config, struct json_object *tree, struct collect_form *form, struct http_error *error)
{
	struct json_object *value = NULL;
	const char *name = "content";

	*form = (struct collect_form){ .content_bytes = config->collect_bytes,
		.most_bytes = config_collected_most(config),
		.can_store = config_can_store(config) };
	if (json_object_object_get_ex(tree, "collect_as", &value) && value != NULL)
		name = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
	form->as_id = strcmp(name, "id") == 0;
	if (form->as_id ? form->can_store : strcmp(name, "content") == 0)
		return 0;
	return http_error_set(error, 400, "collect_as: must be \"content\"%s",
	    form->can_store ? " or \"id\"" : "; this server keeps no files");
}

int
request_collect_take(const struct config *config, struct json_object *tree, struct block *patterns, struct collect_form *form,
    struct http_error *error)
{
	struct json_object *list = NULL;
	size_t count;
	char *to;

	if (take_form(config, tree, form, error) != 0)
		return -1;
	if (!json_object_object_get_ex(tree, "collect", &list) || list == NULL)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return http_error_set(error, 400, "collect: must be a list of patterns");
	count = json_object_array_length(list);
	if (count == 0)
		return 0;
	if (form->most_bytes == 0)
		return http_error_set(error, 400, "collect: this server returns no files");
	if (count > COLLECT_PATTERNS_MOST)
		return http_error_set(error, 400, "collect: must not be more than %d patterns", COLLECT_PATTERNS_MOST);
	for (size_t i = 0; i < count; i++) {
		struct json_object *value = json_object_array_get_idx(list, i);

		if (check_pattern(value, i, error) != 0)
			return -1;
		patterns->size += (size_t)json_object_get_string_len(value) + 1;
	}
	patterns->bytes = to = malloc(patterns->size);
	if (to == NULL)
		return http_error_set(error, 500, "out of memory");
	patterns->count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		struct json_object *value = json_object_array_get_idx(list, i);
		size_t size = (size_t)json_object_get_string_len(value) + 1;

		memcpy(to, json_object_get_string(value), size);
		to += size;
	}
	return 0;
}
