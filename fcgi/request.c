/* request.c - see request.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "request.h"

#include <ctype.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_language.h"
#include "json_tree.h"
#include "request_collect.h"
#include "request_dependencies.h"
#include "request_tests.h"
#include "units.h"

#define LOOPBACK "loopback"  /* the one value of the field "network" */
#define NAME_MAX_COMPARED 64 /* of a name that may be a misspelt limit */

/*
 * Variables that control a loader, libc or an interpreter before the program's first line.
 * Isolation does not depend on this list; it keeps a run from breaking its own interpreter. A '*'
 * at the end matches any rest.
 */
static const char *const denied_env[] = {
	/* libc and its loader */
	"LD_*", "GLIBC_TUNABLES", "MALLOC_*", "GCONV_PATH", "LOCPATH", "NLSPATH", "RES_OPTIONS", "HOSTALIASES",
	/* shells */
	"BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "IFS", "PS4",
	/* interpreters and virtual machines */
	"PYTHON*", "NODE_OPTIONS", "NODE_PATH", "NODE_V8_COVERAGE", "NODE_ICU_DATA", "PERL5*", "PERLLIB", "RUBY*",
	"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "LUA_*", "PHPRC", "PHP_INI_SCAN_DIR",
	/* OpenSSL, which loads libraries that they name */
	"OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES"
};

static bool
matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);

	if (pattern[length - 1] == '*')
		return strncmp(pattern, name, length - 1) == 0;
	return strcmp(pattern, name) == 0;
}

static bool
valid_env_name(const char *name)
{
	if (*name == '\0' || isdigit((unsigned char)*name))
		return false;
	return name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/*
 * A field of a request; NULL if it is missing or null. A name in other letters ("Code") is taken
 * where the exact one is missing: dify-sandbox takes it.
 */
static struct json_object *
field(struct json_object *tree, const char *name)
{
	struct json_object *value = NULL;

	if (json_object_object_get_ex(tree, name, &value))
		return value;
	json_object_object_foreach(tree, given, other) {
		if (strcasecmp(given, name) == 0)
			return other;
	}
	return NULL;
}

static int
take_text(struct json_object *tree, const char *name, struct text *text, struct http_error *error)
{
	struct json_object *value = field(tree, name);

	if (value == NULL)
		return 0;
	if (!json_object_is_type(value, json_type_string))
		return http_error_set(error, 400, "%s: must be a string", name);
	*text = json_tree_text(value);
	return 0;
}

static int
take_language(const struct config *config, struct json_object *tree, struct run_request *request, struct http_error *error)
{
	struct json_object *value = field(tree, "language");
	struct text name;
	int language;

	if (value == NULL)
		return http_error_set(error, 400, "language: is required");
	if (!json_object_is_type(value, json_type_string))
		return http_error_set(error, 400, "language: must be a string");
	name = json_tree_text(value);
	if (name.size == 0)
		return http_error_set(error, 400, "language: must not be empty");
	language = strlen(name.bytes) == name.size ? config_language_find(config, name.bytes) : -1;
	if (language >= 0) {
		request->language = (size_t)language;
		return 0;
	}
	http_error_set(error, 400, "unsupported language \"%.64s\"", name.bytes);
	error->lists_languages = true;
	return -1;
}

/*
 * Set *number to a whole number above zero. Returns 0, or -1. A client's library may write 1000 as
 * 1000.0.
 */
static int
positive_integer(struct json_object *value, uint64_t *number)
{
	if (json_object_is_type(value, json_type_double)) {
		double d = json_object_get_double(value);

		if (!(d >= 1 && d <= 9007199254740992.0) || (double)(uint64_t)d != d)
			return -1;
		*number = (uint64_t)d;
		return 0;
	}
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) <= 0)
		return -1;
	*number = json_object_get_uint64(value);
	return 0;
}

/* The fewest letters to insert, remove or replace that make `b` of `a`. Both are short. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_COMPARED + 1], length = strlen(b);

	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= length; j++) {
			size_t replaced = diagonal + (tolower((unsigned char)a[i]) != b[j - 1]);
			size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = replaced < other ? replaced : other;
		}
	}
	return row[length];
}

/* Whether two names begin with the same word ("memory_mb", "memory_bytes"). */
static bool
share_a_word(const char *a, const char *b)
{
	size_t length = strcspn(b, "_");

	return strncasecmp(a, b, length) == 0 && !isalpha((unsigned char)a[length]);
}

/* A name that is no limit: say so, and which one may be meant. */
static int
refuse_limit(const char *name, struct http_error *error)
{
	const char *nearest = NULL;
	size_t least = 4; /* more letters than that are another word */

	http_error_set(error, 400, "limits.%.64s: there is no such limit", name);
	for (size_t i = 0; i < REQUEST_LIMITS && strlen(name) <= NAME_MAX_COMPARED; i++) {
		size_t letters = share_a_word(name, request_limits[i].name) ? 0 : distance(name, request_limits[i].name);

		if (letters < least) {
			least = letters;
			nearest = request_limits[i].name;
		}
	}
	if (nearest != NULL)
		http_error_append(error, "; do you mean %s?", nearest);
	http_error_append(error, nearest != NULL ? " There are" : "; there are");
	for (size_t i = 0; i < REQUEST_LIMITS; i++)
		http_error_append(error, "%s %s", i == 0 ? "" : ",", request_limits[i].name);
	return -1;
}

/*
 * A run that asks for a number of processes is held to it, and each thread counts as one, unless it
 * asks for threads as well.
 */
static void
settle_threads(struct json_object *object, struct run_limits *limits)
{
	if (limits->processes > 1 && json_tree_member(object, "processes") != NULL && json_tree_member(object, "threads") == NULL)
		limits->threads = 0;
}

/* Name the range, in the words of a person too. */
static int
refuse_value(const struct request_limit *limit, uint64_t maximum, struct http_error *error)
{
	char words[UNITS_TEXT_SIZE];

	if (maximum <= limit->least)
		return http_error_set(error, 400, "limits.%s: must be %" PRIu64 "; this server allows no more", limit->name,
		    maximum);
	http_error_set(error, 400, "limits.%s: must be an integer from %" PRIu64 " to %" PRIu64, limit->name, limit->least,
	    maximum);
	if (units_of_limit(limit->name, maximum, words))
		http_error_append(error, " (%s)", words);
	return -1;
}

static int
take_limits(const struct limits_config *allowed, struct json_object *tree, struct run_limits *limits, struct http_error *error)
{
	struct json_object *object = field(tree, "limits");

	*limits = allowed->default_;
	if (object != NULL && !json_object_is_type(object, json_type_object))
		return http_error_set(error, 400, "limits: must be an object");
	if (object == NULL) {
		run_limits_settle_stack(limits, &allowed->maximum);
		return 0;
	}
	/* A limit that is misspelt would not hold, and nobody would notice. */
	json_object_object_foreach(object, name, given) {
		bool is_known = false;

		(void)given;
		for (size_t i = 0; i < REQUEST_LIMITS; i++)
			is_known = is_known || strcmp(name, request_limits[i].name) == 0;
		if (!is_known)
			return refuse_limit(name, error);
	}
	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		const struct request_limit *f = &request_limits[i];
		struct json_object *value = json_tree_member(object, f->name);
		uint64_t maximum, number;

		if (value == NULL)
			continue;
		maximum = request_limit_of(f, &allowed->maximum);
		if (positive_integer(value, &number) != 0 || number < f->least || number > maximum)
			return refuse_value(f, maximum, error);
		memcpy((char *)limits + f->offset, &number, sizeof number);
	}
	settle_threads(object, limits);
	run_limits_settle_stack(limits, &allowed->maximum);
	return 0;
}

/* Append bytes to a block whose size was counted before. Returns the new end. */
static char *
append(char *to, const char *bytes, size_t size)
{
	memcpy(to, bytes, size);
	return to + size;
}

static int
take_args(struct json_object *tree, struct block *args, struct http_error *error)
{
	struct json_object *list = field(tree, "args");
	size_t count;
	char *to;

	if (list == NULL)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return http_error_set(error, 400, "args: must be a list of strings");
	count = json_object_array_length(list);
	for (size_t i = 0; i < count; i++) {
		struct json_object *value = json_object_array_get_idx(list, i);
		struct text text;

		if (!json_object_is_type(value, json_type_string))
			return http_error_set(error, 400, "args[%zu]: must be a string", i);
		text = json_tree_text(value);
		if (strlen(text.bytes) != text.size)
			return http_error_set(error, 400, "args[%zu]: must not contain a NUL character", i);
		args->size += text.size + 1;
	}
	if (count == 0)
		return 0;
	args->bytes = to = malloc(args->size);
	if (to == NULL)
		return http_error_set(error, 500, "out of memory");
	args->count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		struct text text = json_tree_text(json_object_array_get_idx(list, i));

		to = append(to, text.bytes, text.size + 1);
	}
	return 0;
}

/* The place of a compiler option in the list that the operator allows; -1: it is not there. */
static int
find_option(const struct strings *allowed, const struct text *text)
{
	for (size_t i = 0; i < allowed->count; i++) {
		if (strlen(allowed->item[i]) == text->size && memcmp(allowed->item[i], text->bytes, text->size) == 0)
			return (int)i;
	}
	return -1;
}

static int
refuse_option(const struct language_config *language, size_t at, const struct text *text, struct http_error *error)
{
	const struct strings *allowed = &language->compile.options;

	if (!config_is_compiled(language))
		return http_error_set(error, 400, "compiler_options: %s is not compiled", language->name);
	http_error_set(error, 400, "compiler_options[%zu]: \"%.64s\" is not allowed on this server", at, text->bytes);
	for (size_t i = 0; i < allowed->count; i++)
		http_error_append(error, "%s %s", i == 0 ? "; allowed:" : ",", allowed->item[i]);
	return -1;
}

static int
take_compiler_options(const struct language_config *language, struct json_object *tree, uint32_t *options,
    struct http_error *error)
{
	struct json_object *list = field(tree, "compiler_options");

	if (list == NULL)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return http_error_set(error, 400, "compiler_options: must be a list of strings");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *value = json_object_array_get_idx(list, i);
		struct text text;
		int place;

		if (!json_object_is_type(value, json_type_string))
			return http_error_set(error, 400, "compiler_options[%zu]: must be a string", i);
		text = json_tree_text(value);
		place = find_option(&language->compile.options, &text);
		if (place < 0)
			return refuse_option(language, i, &text, error);
		*options |= UINT32_C(1) << place;
	}
	return 0;
}

static int
check_env(const char *name, struct json_object *value, struct http_error *error)
{
	struct text text;

	if (!valid_env_name(name))
		return http_error_set(error, 400,
		    "env: \"%.64s\" is not a valid name: use letters, digits and _, and no digit first", name);
	for (size_t i = 0; i < sizeof denied_env / sizeof denied_env[0]; i++) {
		if (matches(denied_env[i], name))
			return http_error_set(error, 400, "env.%.64s: must not be set", name);
	}
	if (!json_object_is_type(value, json_type_string))
		return http_error_set(error, 400, "env.%.64s: must be a string", name);
	text = json_tree_text(value);
	if (strlen(text.bytes) != text.size)
		return http_error_set(error, 400, "env.%.64s: must not contain a NUL character", name);
	return 0;
}

static int
take_env(struct json_object *tree, struct block *env, struct http_error *error)
{
	struct json_object *object = field(tree, "env");
	char *to;

	if (object == NULL)
		return 0;
	if (!json_object_is_type(object, json_type_object))
		return http_error_set(error, 400, "env: must be an object of strings");
	json_object_object_foreach(object, name, value) {
		if (check_env(name, value, error) != 0)
			return -1;
		env->size += strlen(name) + 1 + json_tree_text(value).size + 1;
		env->count++;
	}
	if (env->count == 0)
		return 0;
	env->bytes = to = malloc(env->size);
	if (to == NULL)
		return http_error_set(error, 500, "out of memory");
	json_object_object_foreach(object, key, entry) {
		struct text text = json_tree_text(entry);

		to = append(to, key, strlen(key));
		to = append(to, "=", 1);
		to = append(to, text.bytes, text.size + 1);
	}
	return 0;
}

/* Go on without a network, or reject the request, as configured. */
static int
do_without_network(const struct config *config, bool *network, struct http_error *error)
{
	*network = false;
	if (!config->network_strict)
		return 0;
	http_error_set(error, 400, "enable_network: no network is available");
	error->status = 200;
	return -1;
}

/*
 * "network" says more than "enable_network", which old clients always send. So with a loopback
 * there is nothing else.
 */
static int
take_network(const struct config *config, struct json_object *tree, struct run_request *request, struct http_error *error)
{
	struct json_object *enabled = field(tree, "enable_network"), *kind = field(tree, "network");
	bool is_enabled = enabled != NULL && json_object_get_boolean(enabled);

	if (enabled != NULL && !json_object_is_type(enabled, json_type_boolean))
		return http_error_set(error, 400, "enable_network: must be true or false");
	if (kind != NULL) {
		struct text text = json_tree_text(kind);

		if (!json_object_is_type(kind, json_type_string) || text.size != strlen(LOOPBACK) ||
		    memcmp(text.bytes, LOOPBACK, text.size) != 0)
			return http_error_set(error, 400, "network: must be \"" LOOPBACK "\" or null");
		if (!config_has_loopback(config))
			return http_error_set(error, 400, "network: this server offers no \"" LOOPBACK "\"");
		request->loopback = true;
		return 0;
	}
	if (!is_enabled)
		return 0;
	request->wants_network = true;
	request->network = config->network != NETWORK_NONE;
	return request->network ? 0 : do_without_network(config, &request->network, error);
}

int
request_leave_network(const struct config *config, struct run_request *request, struct http_error *error)
{
	return request->network ? do_without_network(config, &request->network, error) : 0;
}

static bool
in_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool
mentions(const struct text *text, const char *word)
{
	size_t length = strlen(word), from = 0;
	const char *at;

	while (from < text->size && (at = memmem(text->bytes + from, text->size - from, word, length)) != NULL) {
		size_t start = (size_t)(at - text->bytes), end = start + length;

		if ((start == 0 || !in_word(at[-1])) && (end == text->size || !in_word(at[length])))
			return true;
		from = start + 1;
	}
	return false;
}

/* The last warm set of which the program contains a hint; else the first. */
static uint32_t
choose_warm(const struct language_config *language, const struct run_request *request)
{
	for (size_t set = language->warm_count - 1; set > 0; set--) {
		const struct strings *hints = &language->warm[set].hints;

		for (size_t i = 0; i < hints->count; i++) {
			if (mentions(&request->code, hints->item[i]) || mentions(&request->preload, hints->item[i]))
				return (uint32_t)set;
		}
	}
	return 0;
}

/*
 * Take the fields of an object. The object stays the caller's, and must last as long as the
 * request.
 */
static int
take_fields(const struct config *config, struct json_object *tree, struct run_request *request, struct http_error *error)
{
	request->files.has_store = config->store_bytes > 0;
	if (take_language(config, tree, request, error) != 0 || take_text(tree, "code", &request->code, error) != 0 ||
	    take_text(tree, "preload", &request->preload, error) != 0 || take_text(tree, "stdin", &request->input, error) != 0 ||
	    take_args(tree, &request->args, error) != 0 || take_env(tree, &request->env, error) != 0 ||
	    take_compiler_options(config->language[request->language], tree, &request->compiler_options, error) != 0 ||
	    take_limits(&config->language[request->language]->limits, tree, &request->limits, error) != 0 ||
	    request_dependencies_take(config->language[request->language], tree, &request->needs, error) != 0 ||
	    request_files_take(tree, config->language[request->language], &request->limits, &request->files, error) != 0 ||
	    request_files_take_main(tree, config->language[request->language], &request->files, &request->main, &request->code,
	        error) != 0 ||
	    request_collect_take(config, tree, &request->collect, &request->collect_form, error) != 0 ||
	    take_network(config, tree, request, error) != 0)
		return -1;
	if (request->code.size == 0 && request->files.stored_main == NULL)
		return http_error_set(error, 400, "code: is required and must not be empty");
	if (config->preload == PRELOAD_IGNORE)
		request->preload = (struct text){ NULL, 0 };
	if (request->main.size > 0 && request->preload.size > 0)
		return http_error_set(error, 400, "preload: must not be there together with main");
	request->maximum = config->language[request->language]->limits.maximum;
	request->warm = choose_warm(config->language[request->language], request);
	return 0;
}

int
request_take(const struct config *config, struct json_object *tree, struct run_request *request, struct http_error *error)
{
	memset(request, 0, sizeof *request);
	request->tree = tree;
	if (take_fields(config, tree, request, error) == 0 && request_tests_take(config, tree, request, error) == 0)
		return 0;
	request_free(request);
	return -1;
}

int
request_parse(const struct config *config, const char *body, size_t size, struct run_request *request, struct http_error *error)
{
	struct json_object *tree = json_tree_parse(body, size, JSON_TREE_VALUES + config->tests_most * REQUEST_TESTS_VALUES,
	    error);

	if (tree != NULL)
		return request_take(config, tree, request, error);
	memset(request, 0, sizeof *request);
	return -1;
}

int
request_take_part(const struct config *config, struct json_object *object, struct run_request *part, struct http_error *error)
{
	const struct language_config *language = config->language[part->language];
	const struct limits_config allowed = { .default_ = part->limits, .maximum = language->limits.maximum };

	if (field(object, "args") != NULL)
		part->args = (struct block){ NULL, 0, 0 };
	if (field(object, "env") != NULL)
		part->env = (struct block){ NULL, 0, 0 };
	part->files = (struct request_files){ .has_store = config->store_bytes > 0 };
	if (take_text(object, "stdin", &part->input, error) != 0 || take_args(object, &part->args, error) != 0 ||
	    take_env(object, &part->env, error) != 0 || take_limits(&allowed, object, &part->limits, error) != 0)
		return -1;
	return request_files_take(object, language, &part->limits, &part->files, error);
}

int
request_take_program(const struct config *config, struct json_object *object, struct run_request *part, struct http_error *error)
{
	part->tree = json_object_get(object);
	return take_fields(config, object, part, error);
}

void
request_set_code(const struct config *config, struct run_request *request, const struct text *code)
{
	request->code = *code;
	request->warm = choose_warm(config->language[request->language], request);
}

void
request_free(struct run_request *request)
{
	if (!request->is_part) {
		request_tests_free(request->tests);
		json_object_put(request->tree);
		free(request->args.bytes);
		free(request->env.bytes);
		free(request->needs.bytes);
		request_files_free(&request->files);
		free(request->collect.bytes);
	}
	request->pack_fd = 0;
	request->tree = NULL;
	request->tests = NULL;
	request->code = request->preload = request->input = request->main = (struct text){ NULL, 0 };
	request->args = request->env = request->needs = request->collect = (struct block){ NULL, 0, 0 };
	request->files = request->more = (struct request_files){ .file = NULL };
}
