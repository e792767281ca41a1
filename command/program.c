/* program.c - see program.h. */
#define _GNU_SOURCE
#include "program.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "contents.h"
#include "exit_codes.h"
#include "language.h"
#include "say.h"

static struct json_object *
new_text(const char *text, size_t size)
{
	struct json_object *value = size > INT_MAX ? NULL : json_object_new_string_len(text, (int)size);

	if (value == NULL)
		say_no_memory();
	return value;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

/* A number with an optional K, M or G. */
static uint64_t
parse_value(const char *option, const char *text)
{
	static const char units[] = "KMG";
	char *end;
	unsigned long long value;
	const char *unit;
	unsigned shift;

	errno = 0;
	value = strtoull(text, &end, 10);
	unit = *end == '\0' ? NULL : strchr(units, toupper((unsigned char)*end));
	shift = unit == NULL ? 0 : 10 * (unsigned)(unit - units + 1);
	if (!isdigit((unsigned char)*text) || errno != 0 || (*end != '\0' && (unit == NULL || end[1] != '\0')) ||
	    value > (uint64_t)INT64_MAX >> shift)
		say_fatal(EXIT_USE, "--limit %s: the value must be an integer, which K, M or G may follow", option);
	return (uint64_t)value << shift;
}

static void
take_limit(struct program *program, const char *option)
{
	const char *equals = strchr(option, '=');
	char *name;

	if (equals == NULL || equals == option)
		say_fatal(EXIT_USE, "--limit %s: must be NAME=VALUE", option);
	name = strndup(option, (size_t)(equals - option));
	if (name == NULL)
		say_no_memory();
	if (program->limits == NULL)
		program->limits = json_object_new_object();
	json_object_object_add(program->limits, name, json_object_new_int64((int64_t)parse_value(option, equals + 1)));
	free(name);
}

static void
take_env(struct program *program, const char *option)
{
	const char *equals = strchr(option, '='), *value = equals != NULL ? equals + 1 : getenv(option);
	char *name = strndup(option, equals != NULL ? (size_t)(equals - option) : strlen(option));
	struct contents text;

	if (name == NULL)
		say_no_memory();
	if (value == NULL)
		say_fatal(EXIT_USE, "--env %s: this environment has no such variable; give NAME=VALUE", option);
	text = (struct contents){ .bytes = (char *)(uintptr_t)value, .size = strlen(value) };
	if (!contents_is_utf8(&text))
		say_fatal(EXIT_USE, "--env %s: the value is not UTF-8", name);
	if (program->env == NULL)
		program->env = json_object_new_object();
	json_object_object_add(program->env, name, new_text(value, strlen(value)));
	free(name);
}

static void
take_file(struct program *program, const char *option)
{
	program->files = reallocarray(program->files, program->file_count + 1, sizeof *program->files);
	if (program->files == NULL)
		say_no_memory();
	program->files[program->file_count++] = option;
}

bool
program_take_option(struct program *program, int letter, const char *value)
{
	switch (letter) {
	case 'l':
		program->language = value;
		return true;
	case 'L':
		take_limit(program, value);
		return true;
	case 'f':
		take_file(program, value);
		return true;
	case 'e':
		take_env(program, value);
		return true;
	case 'n':
		if (value != NULL && strcmp(value, "loopback") != 0)
			say_fatal(EXIT_USE, "--network=%s: must be loopback, or have no value", value);
		program->has_loopback = value != NULL;
		program->has_network = value == NULL;
		return true;
	case 'o':
		if (program->compiler_options == NULL)
			program->compiler_options = json_object_new_array();
		json_object_array_add(program->compiler_options, new_text(value, strlen(value)));
		return true;
	default:
		return false;
	}
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) complain(bool may_fail, const char *format, ...)
{
	char *text;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		say_no_memory();
	say_line("%s", text);
	free(text);
	if (!may_fail)
		exit(EXIT_USE);
}

/* A content as a member of a file: as it is if it is UTF-8, else in base64. */
static void
add_content(struct json_object *file, const struct contents *contents)
{
	size_t size = BASE64_LENGTH(contents->size);
	char *encoded;

	if (contents_is_utf8(contents)) {
		json_object_object_add(file, "content", new_text(contents->bytes, contents->size));
		return;
	}
	encoded = malloc(size + 1);
	if (encoded == NULL)
		say_no_memory();
	base64_encode(contents->bytes, contents->size, encoded);
	json_object_object_add(file, "content", new_text(encoded, size));
	json_object_object_add(file, "encoding", json_object_new_string("base64"));
	free(encoded);
}

/*
 * Split PATH=NAME. A path may have a "=": then the file is there by the whole text. Returns the
 * path, for free(), and sets *name.
 */
static char *
split_option(const char *option, const char **name)
{
	const char *equals = strrchr(option, '=');
	char *path;

	*name = option;
	if (equals == NULL || access(option, F_OK) == 0) {
		path = strdup(option);
	} else {
		path = strndup(option, (size_t)(equals - option));
		*name = equals + 1;
	}
	if (path == NULL)
		say_no_memory();
	while (strncmp(*name, "./", 2) == 0)
		*name += 2;
	return path;
}

char *
program_path_of(const struct program *program, size_t index)
{
	const char *name;

	return split_option(program->files[index], &name);
}

/* The name of a file that lies elsewhere would lead out of the program's directory. */
static bool
leads_out(const char *name)
{
	return *name == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 || strstr(name, "/../") != NULL;
}

static int
add_file(struct json_object *files, const char *option, bool may_fail)
{
	struct contents contents;
	struct json_object *file;
	const char *name;
	char *path = split_option(option, &name);

	if (leads_out(name) || *name == '\0') {
		complain(may_fail, "--file %s: the program cannot have it under this name; give PATH=NAME", option);
		free(path);
		return -1;
	}
	if (contents_read(path, &contents) != 0) {
		complain(may_fail, "--file %s: %s", path, strerror(errno));
		free(path);
		return -1;
	}
	file = json_object_new_object();
	json_object_object_add(file, "path", new_text(name, strlen(name)));
	add_content(file, &contents);
	if (contents.is_executable)
		json_object_object_add(file, "executable", json_object_new_boolean(1));
	json_object_array_add(files, file);
	free(contents.bytes);
	free(path);
	return 0;
}

/* Read the source. Returns 0, or -1 after a line on standard error. */
static int
add_source(const struct program *program, struct json_object *request, bool may_fail)
{
	bool is_stdin = strcmp(program->path, "-") == 0;
	const char *name = is_stdin ? "standard input" : program->path, *language = program->language;
	struct contents source;
	int result = -1;

	if ((is_stdin ? contents_read_stdin(&source) : contents_read(program->path, &source)) != 0) {
		complain(may_fail, "%s: %s", name, strerror(errno));
		return -1;
	}
	if (language == NULL)
		language = language_guess(program->path, source.bytes, source.size);
	if (source.size == 0)
		complain(may_fail, "%s: is empty", name);
	else if (!contents_is_utf8(&source))
		complain(may_fail, "%s: is not a text in UTF-8", name);
	else if (language == NULL)
		complain(may_fail, "%s: neither its name nor a #! line says the language; use --language", name);
	else
		result = 0;
	if (result == 0) {
		json_object_object_add(request, "language", new_text(language, strlen(language)));
		json_object_object_add(request, "code", new_text(source.bytes, source.size));
	}
	free(source.bytes);
	return result;
}

struct json_object *
program_request(const struct program *program, bool may_fail)
{
	struct json_object *request = json_object_new_object(), *files;

	if (request == NULL)
		say_no_memory();
	if (add_source(program, request, may_fail) != 0)
		goto failed;
	if (program->limits != NULL)
		json_object_object_add(request, "limits", json_object_get(program->limits));
	if (program->env != NULL)
		json_object_object_add(request, "env", json_object_get(program->env));
	if (program->compiler_options != NULL)
		json_object_object_add(request, "compiler_options", json_object_get(program->compiler_options));
	if (program->has_network)
		json_object_object_add(request, "enable_network", json_object_new_boolean(1));
	if (program->has_loopback)
		json_object_object_add(request, "network", json_object_new_string("loopback"));
	if (program->file_count > 0) {
		files = json_object_new_array();
		json_object_object_add(request, "files", files);
		for (size_t i = 0; i < program->file_count; i++) {
			if (add_file(files, program->files[i], may_fail) != 0)
				goto failed;
		}
	}
	return request;

failed:
	json_object_put(request);
	return NULL;
}

void
program_free(struct program *program)
{
	json_object_put(program->limits);
	json_object_put(program->env);
	json_object_put(program->compiler_options);
	free(program->files);
}
