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

/* How the files come back: as their content. */
static int
check_form(struct json_object *tree, struct http_error *error)
{
	struct json_object *form = NULL;

	if (!json_object_object_get_ex(tree, "collect_as", &form) || form == NULL)
		return 0;
	if (json_object_is_type(form, json_type_string) && strcmp(json_object_get_string(form), "content") == 0)
		return 0;
	return http_error_set(error, 400, "collect_as: must be \"content\"; this server keeps no files");
}

int
request_collect_take(const struct config *config, struct json_object *tree, struct block *patterns, struct http_error *error)
{
	struct json_object *list = NULL;
	size_t count;
	char *to;

	if (check_form(tree, error) != 0)
		return -1;
	if (!json_object_object_get_ex(tree, "collect", &list) || list == NULL)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return http_error_set(error, 400, "collect: must be a list of patterns");
	count = json_object_array_length(list);
	if (count == 0)
		return 0;
	if (config->collect_bytes == 0)
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
