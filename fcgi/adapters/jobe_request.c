/* jobe_request.c - a request of Jobe's protocol becomes one of ours. See jobe.h. */
#define _GNU_SOURCE
#include <ctype.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/adapter_language.h"
#include "adapters/jobe.h"

#define MB 1024000.0 /* the original counts 1000 times 1024 bytes */
#define LARGEST 1e12 /* of a parameter; the configuration allows less */

/* Compiler options of a run that asks for none, as the original has them. */
static const struct {
	const char *language; /* its name in Jobe */
	const char *options;
} usual_options[] = { { "c", "-Werror -std=c99" }, { "cpp", "-Werror" } };

/* The original compiles without optimizing, unless a run asks for it. */
#define UNOPTIMIZED "-O0"

/* The parameters that are numbers. One without a usual value is left to the configuration. */
static const struct parameter {
	const char *name;
	const char *limit; /* in API.md */
	double unit;       /* of the limit in one of the parameter */
	double usual;      /* 0: none */
	bool not_java;     /* the original disregards it for Java */
} parameters[] = {
	{ "disklimit", "disk_bytes", MB, 20, false },
	{ "streamsize", "output_bytes", MB, 2, false },
	{ "cputime", "cpu_ms", 1000, 5, false },
	{ "memorylimit", "memory_bytes", MB, 0, true },
	{ "numprocs", "processes", 1, 0, true },
};

/* ---- the request ------------------------------------------------------------------------------------------------- */

/* The language that is called so, in any letters, and installed; -1: none. */
static int
find_language(struct worker *worker, const char *given)
{
	char name[PROTO_NAME_SIZE];
	struct proto_language answer;
	int index;

	if (strlen(given) >= sizeof name)
		return -1;
	for (size_t i = 0; i <= strlen(given); i++)
		name[i] = (char)tolower((unsigned char)given[i]);
	index = adapter_language_next(worker->config, ADAPTER_JOBE, name, -1);
	/* Without a runner the run says so. */
	if (index >= 0 && adapter_language_ask(worker, (size_t)index, &answer) == 0 && answer.available == 0)
		return -1;
	return index;
}

/* A text of the request; NULL with `error` set if it is missing, or none. */
static struct json_object *
required_text(struct json_object *spec, const char *name, struct http_error *error)
{
	struct json_object *value = adapter_member(spec, name);

	if (value == NULL)
		http_error_set(error, 400, "run_spec is missing the required attribute '%s'", name);
	else if (!json_object_is_type(value, json_type_string))
		http_error_set(error, 400, "The attribute '%s' of the run_spec must be a string", name);
	else
		return value;
	return NULL;
}

/* Whether a name is free of what the original refuses: some characters, a point or dash first. */
static bool
is_source_name(const char *name, size_t size)
{
	static const char refused[] = "<>:\"/\\|?*#[]@!$&'()+,;={}^~`\x7f\xa0\xad";

	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)name[i] < 0x20 || strchr(refused, name[i]) != NULL)
			return false;
	}
	return size == 0 || (name[0] != '.' && name[0] != '-');
}

/* A number, or a text of one, as PHP has it. Returns whether it is one. */
static bool
take_number(struct json_object *value, double *number)
{
	const char *text;
	char *end;

	if (json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double)) {
		*number = json_object_get_double(value);
		return isfinite(*number);
	}
	if (!json_object_is_type(value, json_type_string))
		return false;
	text = json_object_get_string(value);
	*number = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*number);
}

static void
take_parameter(const struct jobe_submission *submission, const struct parameter *parameter, struct json_object *given)
{
	double number;

	/* A value that is no number counts as missing; 0 and below is no limit. */
	if (!take_number(adapter_member(given, parameter->name), &number))
		number = parameter->usual;
	if (number <= 0 || (parameter->not_java && strcmp(submission->name, "java") == 0))
		return;
	adapter_limit(submission->worker, submission->exchange, submission->index, submission->ours, parameter->limit,
	    (uint64_t)((number < LARGEST ? number : LARGEST) * parameter->unit));
}

static uint64_t
limit_of(const struct jobe_submission *submission, const char *name)
{
	return json_object_get_uint64(adapter_member(adapter_member(submission->ours, "limits"), name));
}

static int
take_limits(const struct jobe_submission *submission, struct json_object *given, struct http_error *error)
{
	uint64_t most_ms = adapter_most(submission->worker, submission->exchange, submission->index, "cpu_ms");
	uint64_t most_s = most_ms / 1000, memory_bytes;
	double seconds;

	if (take_number(adapter_member(given, "cputime"), &seconds) && seconds >= (double)most_s + 1)
		return http_error_set(error, 400, "cputime exceeds maximum allowed on this Jobe server (%" PRIu64 " secs)",
		    most_s);
	for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
		take_parameter(submission, &parameters[i], given);
	adapter_limit(submission->worker, submission->exchange, submission->index, submission->ours, "wall_ms",
	    2 * (limit_of(submission, "cpu_ms") != 0 ? limit_of(submission, "cpu_ms") : most_ms));
	/* An endless recursion is to meet the end of the stack, and not that of the memory. */
	memory_bytes = limit_of(submission, "memory_bytes");
	if (memory_bytes == 0)
		memory_bytes = submission->language->limits.default_.memory_bytes;
	adapter_limit(submission->worker, submission->exchange, submission->index, submission->ours, "stack_bytes",
	    memory_bytes / 2);
	return 0;
}

const char *
jobe_string_at(struct json_object *list, size_t at)
{
	struct json_object *value = json_object_array_get_idx(list, at);

	if (!json_object_is_type(value, json_type_string) ||
	    strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
		return "";
	return json_object_get_string(value);
}

/* ---- options of the compiler ------------------------------------------------------------------------------------- */

static bool
is_among(const struct strings *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++) {
		if (strcmp(words->item[i], word) == 0)
			return true;
	}
	return false;
}

static void
add_option(struct json_object *ours, const char *word)
{
	struct json_object *list = adapter_member(ours, "compiler_options");

	if (list == NULL) {
		list = json_object_new_array();
		json_object_object_add(ours, "compiler_options", list);
	}
	json_object_array_add(list, json_object_new_string(word));
}

/*
 * Take the words of a text. One that the compiler's command has already changes nothing. Returns
 * 0, or -1 with `error` set to the one that is not allowed.
 */
static int
take_words(const struct jobe_submission *submission, const char *text, bool *optimizes, struct http_error *error)
{
	const struct language_config *language = submission->language;
	char word[64];

	for (text += strspn(text, " \t\n"); *text != '\0'; text += strspn(text, " \t\n")) {
		size_t length = strcspn(text, " \t\n");

		snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word), text);
		text += length;
		*optimizes = *optimizes || strncmp(word, "-O", 2) == 0;
		if (is_among(&language->compile.options, word))
			add_option(submission->ours, word);
		else if (!is_among(&language->compile.command, word) || word[0] != '-')
			return http_error_set(error, 400, "the option %s of the compiler is not allowed on this server\n", word);
	}
	return 0;
}

static int
take_option_list(const struct jobe_submission *submission, struct json_object *list, bool *optimizes, struct http_error *error)
{
	if (!json_object_is_type(list, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		if (take_words(submission, jobe_string_at(list, i), optimizes, error) != 0)
			return -1;
	}
	return 0;
}

/* Returns 0, or -1 with `error` set to what the compiler would say. */
static int
take_options(const struct jobe_submission *submission, struct json_object *given, struct http_error *error)
{
	struct json_object *list = adapter_member(given, "compileargs");
	bool optimizes = false;

	if (!config_is_compiled(submission->language))
		return 0;
	if (take_option_list(submission, list, &optimizes, error) != 0 ||
	    take_option_list(submission, adapter_member(given, "linkargs"), &optimizes, error) != 0)
		return -1;
	for (size_t i = 0; list == NULL && i < sizeof usual_options / sizeof usual_options[0]; i++) {
		/* An operator may have taken it off the list; then it is left out. */
		if (strcmp(usual_options[i].language, submission->name) == 0)
			take_words(submission, usual_options[i].options, &optimizes, error);
	}
	if (!optimizes && is_among(&submission->language->compile.options, UNOPTIMIZED))
		add_option(submission->ours, UNOPTIMIZED);
	return 0;
}

/* ---- all of a request -------------------------------------------------------------------------------------------- */

/* Note what was given and has no effect. */
static void
note_ignored(const struct jobe_submission *submission, struct json_object *given, const char *name)
{
	struct json_object *list = adapter_member(given, name);

	if (json_object_is_type(list, json_type_array) && json_object_array_length(list) > 0)
		json_object_array_add(submission->ignored, json_object_new_string(name));
}

static int
take_program(const struct jobe_submission *submission, struct json_object *spec, struct json_object *source,
    struct http_error *error)
{
	struct json_object *name = adapter_member(spec, "sourcefilename");
	const char *text = NULL;

	if (name != NULL &&
	    (!json_object_is_type(name, json_type_string) ||
	        !is_source_name(json_object_get_string(name), (size_t)json_object_get_string_len(name))))
		return http_error_set(error, 400, "The sourcefilename for the run_spec is illegal");
	if (name != NULL)
		text = json_object_get_string(name);
	adapter_program(submission->language, submission->ours, text, source);
	return 0;
}

int
jobe_translate(struct jobe_submission *submission, struct json_object *spec, bool *is_compile_error, struct http_error *error)
{
	struct json_object *source = required_text(spec, "sourcecode", error);
	struct json_object *language = source != NULL ? required_text(spec, "language_id", error) : NULL;
	struct json_object *given = adapter_member(spec, "parameters"), *input = adapter_member(spec, "input");
	struct json_object *args;
	int index;

	*is_compile_error = false;
	if (language == NULL)
		return -1;
	index = find_language(submission->worker, json_object_get_string(language));
	if (index < 0)
		return http_error_set(error, 400, "Language '%.64s' is not known", json_object_get_string(language));
	submission->index = (size_t)index;
	submission->language = submission->worker->config->language[index];
	submission->name = adapter_language_name(submission->language, ADAPTER_JOBE);
	json_object_object_add(submission->ours, "language", json_object_new_string(submission->language->name));
	if (input != NULL && !json_object_is_type(input, json_type_string))
		return http_error_set(error, 400, "The attribute 'input' of the run_spec must be a string");
	/* PHP writes an empty object as a list. */
	if (given != NULL && !json_object_is_type(given, json_type_object))
		given = NULL;
	if (take_limits(submission, given, error) != 0 || take_program(submission, spec, source, error) != 0 ||
	    jobe_files_take(submission, spec, error) != 0)
		return -1;
	if (input != NULL)
		json_object_object_add(submission->ours, "stdin", json_object_get(input));
	args = adapter_member(given, "runargs");
	if (json_object_is_type(args, json_type_array))
		json_object_object_add(submission->ours, "args", json_object_get(args));
	note_ignored(submission, given, "interpreterargs");
	*is_compile_error = take_options(submission, given, error) != 0;
	return *is_compile_error ? -1 : 0;
}
