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

/* The result of a look at a body, before json-c runs. */
struct survey {
	size_t values;    /* the most values that json-c would make; no more than one per byte */
	bool nul_in_name; /* json-c would cut the name there */
	size_t foreign;   /* where json-c takes something that JSON does not have; or the size */
};

/*
 * json-c's strict mode cannot be used: that of version 0.18 rejects characters outside of ASCII
 * where char is signed. Without it json-c takes comments, single quotes, a comma after the last
 * value, and TRUE for true. This finds them, and leaves NaN and Infinity to the check of the field.
 * The rest after the object may hold anything.
 */
static struct survey
survey(const char *body, size_t size)
{
	struct survey found = { .foreign = size };
	bool in_string = false, holds_nul = false, ended = false;
	size_t comma = size, depth = 0, foreign;

	for (size_t i = 0; i < size; i++) {
		char c = body[i];

		if (in_string) {
			if (c == '\\') {
				i++;
				holds_nul = holds_nul || (size - i >= 5 && memcmp(body + i, "u0000", 5) == 0);
			} else if (c == '"') {
				in_string = false;
			}
			continue;
		}
		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			continue;
		foreign = size;
		if (c == '"') {
			in_string = true;
			holds_nul = false;
		} else if (c == '[' || c == '{' || c == ',' || c == ':') {
			found.values++;
			found.nul_in_name = found.nul_in_name || (c == ':' && holds_nul);
			depth += c == '[' || c == '{';
		} else if (c == ']' || c == '}') {
			foreign = comma;
		} else if (c == '\'' || c == '/' || (c >= 'A' && c <= 'Z' && strchr("EIN", c) == NULL)) {
			foreign = i;
		}
		if (!ended && found.foreign == size)
			found.foreign = foreign;
		if (c == ']' || c == '}') {
			ended = ended || depth <= 1;
			depth -= depth > 0;
		}
		comma = c == ',' ? i : size;
	}
	return found;
}

/* Parse a body that is UTF-8. */
static struct json_object *
parse(const char *body, size_t size, size_t most_values, struct http_error *error)
{
	struct json_tokener *tokener;
	struct json_object *tree;
	enum json_tokener_error result;
	struct survey found;
	size_t end;

	/* No form starts like an object. */
	tree = size > 0 && body[0] != '{' ? form_parse(body, size) : NULL;
	if (tree != NULL)
		return tree;
	found = survey(body, size);
	if (found.values > most_values) {
		http_error_set(error, 400, "body: must not contain more than %zu values", most_values);
		return NULL;
	}
	if (found.nul_in_name) {
		http_error_set(error, 400, "body: a name must not contain a NUL character, in env or elsewhere");
		return NULL;
	}
	if (found.foreign != size) {
		http_error_set(error, 400, "body: must be a JSON object: unexpected character at byte %zu", found.foreign);
		return NULL;
	}
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (tokener == NULL) {
		http_error_set(error, 500, "out of memory");
		return NULL;
	}
	/* The rest after the object is ignored, as dify-sandbox does. */
	json_tokener_set_flags(tokener, JSON_TOKENER_ALLOW_TRAILING_CHARS);
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
