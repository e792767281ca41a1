/* json_tree.c - see json_tree.h. Runs in the worker, over untrusted input. */
#include "json_tree.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "form.h"
#include "json_text.h"

#define MAX_DEPTH 32

/*
 * Count, before json-c runs, the most values that it would make (no more than one per byte), and
 * look for a NUL in a name, where json-c would cut the name.
 */
static void
survey(const char *body, size_t size, size_t *values, bool *nul_in_name)
{
	bool in_string = false, holds_nul = false;

	*values = 0;
	*nul_in_name = false;
	for (size_t i = 0; i < size; i++) {
		char c = body[i];

		if (in_string) {
			if (c == '\\') {
				i++;
				holds_nul = holds_nul || (size - i >= 5 && memcmp(body + i, "u0000", 5) == 0);
			} else if (c == '"') {
				in_string = false;
			}
		} else if (c == '"') {
			in_string = true;
			holds_nul = false;
		} else if (c == '[' || c == '{' || c == ',' || c == ':') {
			++*values;
			*nul_in_name = *nul_in_name || (c == ':' && holds_nul);
		}
	}
}

/* Parse a body that is UTF-8. */
static struct json_object *
parse(const char *body, size_t size, size_t most_values, struct http_error *error)
{
	struct json_tokener *tokener;
	struct json_object *tree;
	enum json_tokener_error result;
	size_t end, values;
	bool nul_in_name;

	/* No form starts like an object. */
	tree = size > 0 && body[0] != '{' ? form_parse(body, size) : NULL;
	if (tree != NULL)
		return tree;
	survey(body, size, &values, &nul_in_name);
	if (values > most_values) {
		http_error_set(error, 400, "body: must not contain more than %zu values", most_values);
		return NULL;
	}
	if (nul_in_name) {
		http_error_set(error, 400, "body: a name must not contain a NUL character, in env or elsewhere");
		return NULL;
	}
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (tokener == NULL) {
		http_error_set(error, 500, "out of memory");
		return NULL;
	}
	/* The rest after the object is ignored, as dify-sandbox does. */
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	tree = json_tokener_parse_ex(tokener, body, (int)size);
	result = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);

	if (result == json_tokener_success && json_object_is_type(tree, json_type_object))
		return tree;
	json_object_put(tree);
	if (result == json_tokener_continue)
		http_error_set(error, 400, "body: must be a JSON object; it ends too early");
	else if (result != json_tokener_success)
		http_error_set(error, 400, "body: must be a JSON object: %s at byte %zu", json_tokener_error_desc(result), end);
	else
		http_error_set(error, 400, "body: must be a JSON object");
	return NULL;
}

struct json_object *
json_tree_parse(const char *body, size_t size, size_t most_values, struct http_error *error)
{
	struct json_object *tree;
	char *repaired;
	size_t length;

	if (size > INT32_MAX) {
		http_error_set(error, 413, "body: is too large");
		return NULL;
	}
	/* json-c's own check accepts characters above U+10FFFF. */
	if (json_text_well_formed(body, size) == size)
		return parse(body, size, most_values, error);
	length = json_text_repair(body, size, NULL);
	if (length > INT32_MAX) {
		http_error_set(error, 413, "body: is too large");
		return NULL;
	}
	repaired = malloc(length);
	if (repaired == NULL) {
		http_error_set(error, 500, "out of memory");
		return NULL;
	}
	json_text_repair(body, size, repaired);
	tree = parse(repaired, length, most_values, error);
	free(repaired);
	return tree;
}

struct json_object *
json_tree_member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, name, &value);
	return value;
}

struct text
json_tree_text(struct json_object *string)
{
	return (struct text){ json_object_get_string(string), (size_t)json_object_get_string_len(string) };
}
