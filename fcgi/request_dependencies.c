/*
 * request_dependencies.c - see request_dependencies.h. Runs in the worker, over untrusted input.
 *
 * Clients of dify-sandbox send "dependencies" with every run, in shapes of their own, and it
 * ignores them. So does this, unless the client asks with "strict". Then the guest looks whether
 * they are installed: it sees the packages that its program would import, and no others.
 */
#define _GNU_SOURCE
#include "request_dependencies.h"

#include <ctype.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 214 /* the longest name of npm */
#define VERSION_BYTES 128

#define WORD_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* A package that a request names. */
struct need {
	const char *name, *version;
};

/* A string that is a word of these characters, or NULL. */
static const char *
word_of(struct json_object *value, const char *characters, size_t most)
{
	const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
	size_t length = text == NULL ? 0 : (size_t)json_object_get_string_len(value);

	return length <= most && length > 0 && strspn(text, characters) == length ? text : NULL;
}

static bool
begins_well(const char *name)
{
	return isalnum((unsigned char)name[0]) || name[0] == '_';
}

/*
 * The name of a package, or NULL. The guest opens a file by this name, so it must not lead out of
 * the directory: pip's have no slash, and npm's have one after a scope ("@types/node").
 */
static const char *
name_of(struct json_object *value, enum packages packages)
{
	const char *name = word_of(value, packages == PACKAGES_NPM ? WORD_CHARACTERS "~@/" : WORD_CHARACTERS, NAME_BYTES);
	const char *slash = name == NULL ? NULL : strchr(name, '/'), *part = slash == NULL ? name : slash + 1;

	if (name == NULL)
		return NULL;
	if (slash != NULL && (name[0] != '@' || strchr(part, '/') != NULL || !begins_well(name + 1)))
		return NULL;
	return begins_well(part) && strchr(part, '@') == NULL ? name : NULL;
}

/* Read one element of the list. Returns 0, or -1 with `error` set. */
static int
take_need(struct json_object *value, size_t at, enum packages packages, struct need *need, struct http_error *error)
{
	struct json_object *name = value, *version = NULL;
	bool is_object = json_object_is_type(value, json_type_object);

	if (!is_object && !json_object_is_type(value, json_type_string))
		return http_error_set(error, 400, "dependencies[%zu]: must be a name, or an object with a name and a version",
		    at);
	if (is_object) {
		name = NULL;
		json_object_object_get_ex(value, "name", &name);
		json_object_object_get_ex(value, "version", &version);
	}
	need->name = name_of(name, packages);
	if (need->name == NULL)
		return http_error_set(error, 400, "dependencies[%zu]%s: must be the name of a package%s", at,
		    is_object ? ".name" : "", is_object ? "" : "; a version is a member of {\"name\", \"version\"}");
	need->version = "";
	if (version == NULL || (json_object_is_type(version, json_type_string) && json_object_get_string_len(version) == 0))
		return 0;
	need->version = word_of(version, WORD_CHARACTERS "+!", VERSION_BYTES);
	return need->version != NULL ? 0 : http_error_set(error, 400, "dependencies[%zu].version: must be one version", at);
}

/* Append a text with its NUL. Returns the new end. */
static char *
append(char *to, const char *text)
{
	return stpcpy(to, text) + 1;
}

int
request_dependencies_take(const struct language_config *language, struct json_object *tree, struct block *needs,
    struct http_error *error)
{
	struct json_object *list = NULL, *strict = NULL;
	struct need need = { "", "" };
	size_t count;
	char *to;

	if (!json_object_object_get_ex(tree, "dependencies", &list) || list == NULL ||
	    !json_object_object_get_ex(tree, "strict", &strict) || strict == NULL)
		return 0;
	if (!json_object_is_type(strict, json_type_boolean))
		return http_error_set(error, 400, "strict: must be true or false");
	if (!json_object_get_boolean(strict))
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return http_error_set(error, 400, "dependencies: must be a list of packages");
	count = json_object_array_length(list);
	if (count > 0 && language->packages == PACKAGES_NONE)
		return http_error_set(error, 400, "dependencies: %s has no packages; none can be required", language->name);
	for (size_t i = 0; i < count; i++) {
		if (take_need(json_object_array_get_idx(list, i), i, language->packages, &need, error) != 0)
			return -1;
		needs->size += strlen(need.name) + 1 + strlen(need.version) + 1;
	}
	if (count == 0)
		return 0;
	needs->bytes = to = malloc(needs->size);
	if (to == NULL)
		return http_error_set(error, 500, "out of memory");
	needs->count = (uint32_t)(2 * count);
	for (size_t i = 0; i < count; i++) {
		if (take_need(json_object_array_get_idx(list, i), i, language->packages, &need, error) != 0)
			return -1;
		to = append(append(to, need.name), need.version);
	}
	return 0;
}
