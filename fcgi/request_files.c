/* request_files.c - see request_files.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "request_files.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "json_tree.h"
#include "path_fault.h"
#include "store_proto.h"

#define LABEL_SIZE 160   /* the name of a field in an error */
#define SHOWN_BYTES "96" /* of a path in an error */

/* ---- paths ------------------------------------------------------------------------------------------------------ */

/* The order in which the files of a directory follow its own name. */
static int
compare_paths(const void *a, const void *b)
{
	const char *left = (*(const struct request_file *const *)a)->path.bytes;
	const char *right = (*(const struct request_file *const *)b)->path.bytes;

	for (;; left++, right++) {
		int l = *left == '/' ? 1 : (unsigned char)*left == 1 ? 2 : (unsigned char)*left;
		int r = *right == '/' ? 1 : (unsigned char)*right == 1 ? 2 : (unsigned char)*right;

		if (l != r)
			return l - r;
		if (l == 0)
			return 0;
	}
}

/* Whether a path is the same as `name`, or has it as a directory. */
static bool
is_at_or_below(const char *path, const char *name)
{
	size_t length = strlen(name);

	return strncmp(path, name, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* ---- the list --------------------------------------------------------------------------------------------------- */

static bool
is_id(const struct text *text)
{
	return text->size == STORE_ID_LENGTH && strncmp(text->bytes, STORE_ID_PREFIX, strlen(STORE_ID_PREFIX)) == 0 &&
	    strspn(text->bytes + strlen(STORE_ID_PREFIX), "0123456789abcdef") == STORE_DIGITS;
}

/* The content is in the store: `id` is its id, as far as is_id says so. */
static int
take_id(const struct text *id, struct request_files *files, struct request_file *file, const char *label,
    struct http_error *error)
{
	if (!files->has_store)
		return http_error_set(error, 400, "%s: this server keeps no files; send the content instead", label);
	if (!is_id(id))
		return http_error_set(error, 400, "%s: must be " STORE_ID_PREFIX " and %d hexadecimal digits, in small letters",
		    label, STORE_DIGITS);
	if (++files->stored > STORE_IDS_MOST)
		return http_error_set(error, 400, "%s: there must not be more than %d ids", label, STORE_IDS_MOST);
	file->id = id->bytes;
	return 0;
}

static int
decode(struct request_file *file, const char *label, struct http_error *error)
{
	size_t size = file->content.size;

	if (size == 0)
		return 0;
	file->decoded = malloc(size);
	if (file->decoded == NULL)
		return http_error_set(error, 500, "out of memory");
	size = base64_decode(file->content.bytes, size, file->decoded);
	if (size == (size_t)-1)
		return http_error_set(error, 400, "%s.content: must be base64, with its padding and without spaces", label);
	file->content = (struct text){ file->decoded, size };
	return 0;
}

/* The content of an entry of the list, by its fields. */
static int
take_content(struct json_object *object, struct request_files *files, struct request_file *file, const char *label,
    struct http_error *error)
{
	struct json_object *content = json_tree_member(object, "content"), *encoding = json_tree_member(object, "encoding"),
	                   *id = json_tree_member(object, "id");
	const char *name = encoding == NULL ? "utf-8" : json_object_get_string(encoding);
	char of_id[LABEL_SIZE + 8];

	if (id != NULL && content != NULL)
		return http_error_set(error, 400, "%s: must have content or id, not both", label);
	if (id != NULL) {
		snprintf(of_id, sizeof of_id, "%s.id", label);
		if (!json_object_is_type(id, json_type_string))
			return http_error_set(error, 400, "%s: must be a string", of_id);
		file->content = json_tree_text(id);
		if (take_id(&file->content, files, file, of_id, error) != 0)
			return -1;
		file->content = (struct text){ NULL, 0 };
		return 0;
	}
	if (content == NULL)
		return http_error_set(error, 400, "%s.content: is required, unless there is an id", label);
	if (!json_object_is_type(content, json_type_string))
		return http_error_set(error, 400, "%s.content: must be a string", label);
	file->content = json_tree_text(content);
	if (encoding != NULL && !json_object_is_type(encoding, json_type_string))
		name = "";
	if (strcmp(name, "base64") == 0)
		return decode(file, label, error);
	return strcmp(name, "utf-8") == 0 ? 0 : http_error_set(error, 400, "%s.encoding: must be \"utf-8\" or \"base64\"", label);
}

static int
take_entry(struct json_object *object, struct request_files *files, struct request_file *file, const char *label,
    struct http_error *error)
{
	struct json_object *path, *executable;
	const char *fault;

	if (!json_object_is_type(object, json_type_object))
		return http_error_set(error, 400, "%s: must be an object with path and content", label);
	path = json_tree_member(object, "path");
	executable = json_tree_member(object, "executable");
	if (path == NULL)
		return http_error_set(error, 400, "%s.path: is required", label);
	if (!json_object_is_type(path, json_type_string))
		return http_error_set(error, 400, "%s.path: must be a string", label);
	file->path = json_tree_text(path);
	fault = path_fault(&file->path);
	if (fault != NULL)
		return http_error_set(error, 400, "%s.path: %s", label, fault);
	if (executable != NULL && !json_object_is_type(executable, json_type_boolean))
		return http_error_set(error, 400, "%s.executable: must be true or false", label);
	file->is_executable = executable != NULL && json_object_get_boolean(executable);
	return take_content(object, files, file, label, error);
}

/* Make room for the files. Returns 0, or -1 with `error` set. */
static int
begin(struct request_files *files, size_t count, const struct run_limits *limits, struct http_error *error)
{
	if (count > limits->inodes)
		return http_error_set(error, 400, "files: must not be more than limits.inodes, %" PRIu64, limits->inodes);
	if (count == 0)
		return 0;
	files->file = calloc(count, sizeof *files->file);
	return files->file != NULL ? 0 : http_error_set(error, 500, "out of memory");
}

static int
take_list(struct json_object *list, const struct run_limits *limits, struct request_files *files, struct http_error *error)
{
	size_t count = json_object_array_length(list);
	char label[LABEL_SIZE];

	if (begin(files, count, limits, error) != 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct request_file *file = &files->file[files->count++];

		snprintf(label, sizeof label, "files[%zu]", i);
		if (take_entry(json_object_array_get_idx(list, i), files, file, label, error) != 0)
			return -1;
		files->bytes += file->content.size;
	}
	return 0;
}

/* The short form: {"path": "content"}. With the id of a stored file as the content it is Dify's. */
static int
take_object(struct json_object *object, const struct run_limits *limits, struct request_files *files, struct http_error *error)
{
	char label[LABEL_SIZE];

	if (begin(files, (size_t)json_object_object_length(object), limits, error) != 0)
		return -1;
	json_object_object_foreach(object, path, content) {
		struct request_file *file = &files->file[files->count++];
		const char *fault;

		snprintf(label, sizeof label, "files.%." SHOWN_BYTES "s", path);
		file->path = (struct text){ path, strlen(path) };
		fault = path_fault(&file->path);
		if (fault != NULL)
			return http_error_set(error, 400, "%s: its path %s", label, fault);
		if (!json_object_is_type(content, json_type_string))
			return http_error_set(error, 400, "%s: must be a string, its content", label);
		file->content = json_tree_text(content);
		if (is_id(&file->content)) {
			if (take_id(&file->content, files, file, label, error) != 0)
				return -1;
			file->content = (struct text){ NULL, 0 };
		}
		files->bytes += file->content.size;
	}
	return 0;
}

/* ---- all of them together --------------------------------------------------------------------------------------- */

int
request_files_index(const struct request_files *files, struct request_files_index *index, struct http_error *error)
{
	*index = (struct request_files_index){ NULL, 0 };
	if (files->count == 0)
		return 0;
	index->file = malloc(files->count * sizeof *index->file);
	if (index->file == NULL)
		return http_error_set(error, 500, "out of memory");
	for (; index->count < files->count; index->count++)
		index->file[index->count] = &files->file[index->count];
	qsort(index->file, index->count, sizeof *index->file, compare_paths);
	return 0;
}

bool
request_files_collides(const struct request_files_index *index, const struct request_file *file)
{
	size_t low = 0, high = index->count;

	/* The first that is not before it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_paths(&index->file[middle], &file) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	/*
	 * Files below it come next. Its directory would come just before it: nothing else is in
	 * that.
	 */
	return (low < index->count && is_at_or_below(index->file[low]->path.bytes, file->path.bytes)) ||
	    (low > 0 && is_at_or_below(file->path.bytes, index->file[low - 1]->path.bytes));
}

/* Find two files of which one is the other, or its directory. */
static int
check_conflicts(const struct request_files *files, struct http_error *error)
{
	struct request_files_index index;
	const struct request_file **sorted;
	size_t i;

	if (request_files_index(files, &index, error) != 0)
		return -1;
	sorted = index.file;
	for (i = 1; i < files->count; i++) {
		const char *path = sorted[i]->path.bytes, *before = sorted[i - 1]->path.bytes;

		if (!is_at_or_below(path, before))
			continue;
		if (strcmp(path, before) == 0)
			http_error_set(error, 400, "files[%zu].path: \"%." SHOWN_BYTES "s\" is there twice",
			    (size_t)((sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1]) - files->file), path);
		else
			http_error_set(error, 400, "files[%zu].path: \"%." SHOWN_BYTES "s\" is a directory of another file",
			    (size_t)(sorted[i - 1] - files->file), before);
		break;
	}
	free(sorted);
	return i < files->count ? -1 : 0;
}

/* The names that the program and what is made of it have in the working directory. */
static int
check_reserved(const struct request_files *files, const struct language_config *language, bool has_main, struct http_error *error)
{
	const char *const reserved[][2] = { { has_main ? NULL : language->main_file, "the program, which is in code" },
		{ language->compile.output, "what the compiler makes" } };

	for (size_t i = 0; i < files->count; i++) {
		for (size_t j = 0; j < 2; j++) {
			if (reserved[j][0] != NULL && is_at_or_below(files->file[i].path.bytes, reserved[j][0]))
				return http_error_set(error, 400, "files[%zu].path: %s is the name of %s", i, reserved[j][0],
				    reserved[j][1]);
		}
	}
	return 0;
}

int
request_files_check_bytes(const struct request_files *files, const struct run_limits *limits, struct http_error *error)
{
	if (files->bytes <= limits->disk_bytes)
		return 0;
	return http_error_set(error, 400, "files: have %" PRIu64 " bytes together, and limits.disk_bytes is %" PRIu64,
	    files->bytes, limits->disk_bytes);
}

int
request_files_take(struct json_object *tree, const struct language_config *language, const struct run_limits *limits,
    struct request_files *files, struct http_error *error)
{
	struct json_object *value = json_tree_member(tree, "files");

	if (value == NULL)
		return 0;
	if (json_object_is_type(value, json_type_array) ? take_list(value, limits, files, error) != 0 :
	        json_object_is_type(value, json_type_object) ?
	                                                  take_object(value, limits, files, error) != 0 :
	                                                  http_error_set(error, 400, "files: must be a list or an object") != 0)
		return -1;
	if (files->count == 0)
		return 0;
	if (request_files_check_bytes(files, limits, error) != 0)
		return -1;
	return check_conflicts(files, error) != 0 ?
	    -1 :
	    check_reserved(files, language, json_tree_member(tree, "main") != NULL, error);
}

bool
request_files_can_start(const struct language_config *language)
{
	const struct strings *command = config_is_compiled(language) ? &language->compile.command : &language->run;

	if (language->driver != NULL && command->count == 0)
		return true; /* the driver can */
	for (size_t i = 0; i < command->count; i++) {
		if (strcmp(command->item[i], language->main_file) == 0)
			return true;
	}
	return false;
}

int
request_files_take_main(struct json_object *tree, const struct language_config *language, struct request_files *files,
    struct text *main, struct text *code, struct http_error *error)
{
	struct json_object *value = json_tree_member(tree, "main");
	struct text path;

	if (value == NULL)
		return 0;
	if (!json_object_is_type(value, json_type_string))
		return http_error_set(error, 400, "main: must be a string");
	if (code->size > 0)
		return http_error_set(error, 400, "main: must not be there together with code");
	path = json_tree_text(value);
	for (size_t i = 0; i < files->count; i++) {
		struct request_file *file = &files->file[i];

		if (file->path.size != path.size || memcmp(file->path.bytes, path.bytes, path.size) != 0)
			continue;
		if (file->content.size == 0 && file->id == NULL)
			return http_error_set(error, 400, "main: \"%." SHOWN_BYTES "s\" must not be empty", path.bytes);
		*code = file->content;
		files->stored_main = file->id != NULL ? file : NULL;
		if (language->main_file != NULL && strcmp(path.bytes, language->main_file) == 0) {
			file->is_code = true;
			return 0;
		}
		*main = file->path;
		return request_files_can_start(language) ?
		    0 :
		    http_error_set(error, 400, "main: a program in %s begins with the file %s; give the file this name",
		        language->name, language->main_file);
	}
	return http_error_set(error, 400, "main: \"%." SHOWN_BYTES "s\" is none of the files", path.bytes);
}

void
request_files_free(struct request_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->file[i].decoded);
	free(files->file);
	*files = (struct request_files){ .file = NULL };
}
