/*
 * jobe.c - Jobe's protocol: languages, runs, files. docs/adapters.md has the table of fields. Runs
 * in the worker, over untrusted input.
 *
 * This server keeps no files for Jobe's clients: it says of each that it is not there.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/adapter.h"
#include "adapters/adapter_language.h"
#include "adapters/adapter_reply.h"
#include "base64.h"
#include "json_text.h"

#define MB 1024000.0                                  /* the original counts 1000 times 1024 bytes */
#define FILE_ID_LEAST 8                               /* characters */
#define LARGEST 1e12                                  /* of a parameter; the configuration allows less */
#define HEX_SIZE 4                                    /* "\x1b" */
#define OVERLOAD "!** TESTING OVERLOAD EXCEPTION **!" /* a program that its own test sends, to see an overload */

enum outcome {
	OUTCOME_COMPILE_ERROR = 11,
	OUTCOME_RUNTIME_ERROR = 12,
	OUTCOME_TIME_LIMIT = 13,
	OUTCOME_SUCCESS = 15,
	OUTCOME_MEMORY_LIMIT = 17,
	OUTCOME_ILLEGAL_SYSCALL = 19,
	OUTCOME_INTERNAL_ERROR = 20,
	OUTCOME_OVERLOAD = 21,
};

/* Compiler options of a run that asks for none, as the original has them. */
static const struct {
	const char *language; /* its name in Jobe */
	const char *options;
} usual_options[] = { { "c", "-Werror -std=c99" }, { "cpp", "-Werror" } };

/* The original compiles without optimizing, unless a run asks for it. */
#define UNOPTIMIZED "-O0"

/*
 * Signs on stderr of a program that was never run. The original checks the syntax of these
 * languages first, and reports a fault as an error of the compiler.
 */
static const struct {
	const char *language;
	const char *start; /* of stderr, after line feeds; NULL: any */
	const char *words; /* somewhere after that */
} syntax_errors[] = {
	{ "python3", "  File \"", "\nSyntaxError:" },
	{ "python3", "  File \"", "\nIndentationError:" },
	{ "python3", "  File \"", "\nTabError:" },
	{ "php", "PHP Parse error:", "" },
	{ "php", "Parse error:", "" },
};

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

/* A run on its way to ours. */
struct submission {
	struct worker *worker;
	struct exchange *exchange;
	const struct language_config *language;
	const char *name; /* of the language, in Jobe */
	size_t index;     /* of the language */
	struct json_object *ours;
	struct json_object *ignored; /* the names of what was given and has no effect */
};

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* The body of an error is a text. */
static void
fail(struct exchange *exchange, const struct http_error *error, const char *header)
{
	adapter_reply_value(&exchange->reply, error->status, header, adapter_reply_clean(error->text));
}

static void
fail_with(struct exchange *exchange, const struct http_error *error)
{
	fail(exchange, error, NULL);
}

/* A result without a run. */
static void
answer_outcome(struct exchange *exchange, enum outcome outcome, const char *cmpinfo, const char *err)
{
	struct adapter_reply reply = { .piece = NULL };

	adapter_reply_json(&reply, "{\"run_id\":");
	adapter_reply_string(&reply, exchange->request_id);
	adapter_reply_json(&reply, ",\"outcome\":%d,\"cmpinfo\":", outcome);
	adapter_reply_string(&reply, cmpinfo);
	adapter_reply_json(&reply, ",\"stdout\":\"\",\"stderr\":");
	adapter_reply_string(&reply, err);
	adapter_reply_json(&reply, "}");
	adapter_reply_send(&reply, &exchange->reply, 200);
}

/* ---- languages --------------------------------------------------------------------------------------------------- */

static void
serve_languages(struct worker *worker, struct exchange *exchange, const char *rest)
{
	struct json_object *list = json_object_new_array();

	(void)rest;
	for (size_t i = 0; i < worker->config->language_count; i++) {
		const struct language_config *language = worker->config->language[i];
		const char *name = adapter_language_name(language, ADAPTER_JOBE);
		struct proto_language answer;
		struct json_object *one;
		struct http_error error;

		if (name == NULL)
			continue;
		if (adapter_language_ask(worker, i, &answer) != 0) {
			json_object_put(list);
			http_error_set(&error, 503, "the runner cannot be reached");
			exchange_note_failure(exchange, &error, worker->link.error);
			fail_with(exchange, &error);
			return;
		}
		if (answer.available == 0)
			continue;
		one = json_object_new_array();
		json_object_array_add(one, json_object_new_string(name));
		json_object_array_add(one,
		    json_object_new_string_len(answer.version,
		        (int)json_text_well_formed(answer.version, strlen(answer.version))));
		json_object_array_add(list, one);
	}
	adapter_reply_value(&exchange->reply, 200, NULL, list);
}

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

/* ---- the request ------------------------------------------------------------------------------------------------- */

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

/* Whether a text has nothing but letters and digits, and the characters of `others`. */
static bool
is_alphanumeric(const char *text, const char *others)
{
	for (; *text != '\0'; text++) {
		if (!isalnum((unsigned char)*text) && strchr(others, *text) == NULL)
			return false;
	}
	return true;
}

static const char *
string_at(struct json_object *list, size_t at)
{
	struct json_object *value = json_object_array_get_idx(list, at);

	if (!json_object_is_type(value, json_type_string) ||
	    strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
		return "";
	return json_object_get_string(value);
}

static int
check_files(struct json_object *spec, struct http_error *error)
{
	struct json_object *list = adapter_member(spec, "file_list");
	size_t count;

	if (list == NULL)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return http_error_set(error, 400, "The attribute 'file_list' of the run_spec must be a list");
	count = json_object_array_length(list);
	for (size_t i = 0; i < count; i++) {
		struct json_object *file = json_object_array_get_idx(list, i);
		size_t parts = json_object_is_type(file, json_type_array) ? json_object_array_length(file) : 0;
		const char *id, *name;

		if (parts != 2 && parts != 3)
			return http_error_set(error, 400, "Invalid file specifier: file_list[%zu]", i);
		id = string_at(file, 0);
		name = string_at(file, 1);
		if (strlen(id) < FILE_ID_LEAST || !is_alphanumeric(id, "") || *name == '\0' || !is_alphanumeric(name, "-_.") ||
		    strspn(name, "-_.") == strlen(name))
			return http_error_set(error, 400, "Invalid file specifier: file_list[%zu]", i);
	}
	if (count > 0)
		return http_error_set(error, 404, "One or more of the specified files is missing/unavailable");
	return 0;
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
take_parameter(const struct submission *submission, const struct parameter *parameter, struct json_object *given)
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
limit_of(const struct submission *submission, const char *name)
{
	return json_object_get_uint64(adapter_member(adapter_member(submission->ours, "limits"), name));
}

static int
take_limits(const struct submission *submission, struct json_object *given, struct http_error *error)
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
take_words(const struct submission *submission, const char *text, bool *optimizes, struct http_error *error)
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
take_option_list(const struct submission *submission, struct json_object *list, bool *optimizes, struct http_error *error)
{
	if (!json_object_is_type(list, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		if (take_words(submission, string_at(list, i), optimizes, error) != 0)
			return -1;
	}
	return 0;
}

/* Returns 0, or -1 with `error` set to what the compiler would say. */
static int
take_options(const struct submission *submission, struct json_object *given, struct http_error *error)
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
note_ignored(const struct submission *submission, struct json_object *given, const char *name)
{
	struct json_object *list = adapter_member(given, name);

	if (json_object_is_type(list, json_type_array) && json_object_array_length(list) > 0)
		json_object_array_add(submission->ignored, json_object_new_string(name));
}

static int
take_program(const struct submission *submission, struct json_object *spec, struct json_object *source, struct http_error *error)
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

/*
 * Make ours of a request, in the order of the original's checks. Returns 0, or -1 with `error` set.
 * *is_compile_error: it is what a compiler would say.
 */
static int
translate(struct submission *submission, struct json_object *spec, bool *is_compile_error, struct http_error *error)
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
	    check_files(spec, error) != 0)
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

/* ---- the reply --------------------------------------------------------------------------------------------------- */

/* A text for a reply: as it is if it is UTF-8, else `owned`, with its odd bytes in hexadecimal. */
struct clean {
	const char *bytes;
	size_t size;
	char *owned;
};

static bool
is_odd(unsigned char c)
{
	return (c < ' ' && c != '\n' && c != '\r' && c != '\t') || c > '~';
}

static struct clean
clean(const struct output *output)
{
	struct clean text = { output->bytes, output->size, NULL };
	size_t size = 0;

	if (json_text_well_formed(output->bytes, output->size) == output->size)
		return text;
	text.owned = malloc(output->size * HEX_SIZE + 1);
	/* Without memory, each odd byte becomes U+FFFD. */
	if (text.owned == NULL)
		return text;
	for (size_t i = 0; i < output->size; i++) {
		unsigned char c = (unsigned char)output->bytes[i];

		if (is_odd(c))
			size += (size_t)sprintf(text.owned + size, "\\x%02x", c);
		else
			text.owned[size++] = (char)c;
	}
	text.bytes = text.owned;
	text.size = size;
	return text;
}

/* Whether the program was never run, because its interpreter found a fault in its syntax. */
static bool
is_syntax_error(const char *language, const struct run *run)
{
	const struct output *err = &run->err;
	size_t at = 0;

	if (run->result.verdict != VERDICT_EXIT || run->out.size > 0)
		return false;
	while (at < err->size && err->bytes[at] == '\n')
		at++;
	for (size_t i = 0; i < sizeof syntax_errors / sizeof syntax_errors[0]; i++) {
		size_t length = strlen(syntax_errors[i].start);

		if (strcmp(syntax_errors[i].language, language) == 0 && err->size - at >= length &&
		    memcmp(err->bytes + at, syntax_errors[i].start, length) == 0 &&
		    memmem(err->bytes + at, err->size - at, syntax_errors[i].words, strlen(syntax_errors[i].words)) != NULL)
			return true;
	}
	return false;
}

/* The outcome, and in `line` what stderr does not say. */
static enum outcome
describe(const struct run *run, const char *language, char *line, size_t size)
{
	const struct run_result *result = &run->result;
	const char *name = result->signal != 0 ? sigdescr_np(result->signal) : NULL;

	line[0] = '\0';
	switch ((enum verdict)result->verdict) {
	case VERDICT_COMPILE_ERROR:
		return OUTCOME_COMPILE_ERROR;
	case VERDICT_TIMEOUT:
	case VERDICT_CPU_LIMIT:
		return OUTCOME_TIME_LIMIT;
	case VERDICT_OUTPUT_LIMIT:
		/* In the original such a program runs on until its time is over. */
		snprintf(line, size, "output limit exceeded\n");
		return OUTCOME_TIME_LIMIT;
	case VERDICT_MEMORY_LIMIT:
		return OUTCOME_MEMORY_LIMIT;
	case VERDICT_DENIED:
		return OUTCOME_ILLEGAL_SYSCALL;
	case VERDICT_CANCELLED:
	case VERDICT_COUNT:
		return OUTCOME_INTERNAL_ERROR;
	case VERDICT_SIGNAL:
		snprintf(line, size, "terminated with signal %d (%s)\n", result->signal, name != NULL ? name : "unknown");
		return OUTCOME_RUNTIME_ERROR;
	case VERDICT_PROCESS_LIMIT:
		snprintf(line, size, "process limit exceeded\n");
		return OUTCOME_RUNTIME_ERROR;
	case VERDICT_DISK_LIMIT:
		snprintf(line, size, "disk limit exceeded\n");
		return OUTCOME_RUNTIME_ERROR;
	case VERDICT_EXIT:
	case VERDICT_OK:
		break;
	}
	if (is_syntax_error(language, run))
		return OUTCOME_COMPILE_ERROR;
	/* The original looks at stderr, and not at the exit code. */
	return run->err.size > 0 ? OUTCOME_RUNTIME_ERROR : OUTCOME_SUCCESS;
}

/* The line that is missing in the output of a compiler that met a limit. */
static const char *
compiler_line(const struct run *run)
{
	switch ((enum verdict)run->compilation.result.verdict) {
	case VERDICT_TIMEOUT:
	case VERDICT_CPU_LIMIT:
		return "the compiler exceeded its time limit\n";
	case VERDICT_MEMORY_LIMIT:
		return "the compiler exceeded its memory limit\n";
	default:
		/* The client looks whether this is empty. */
		return run->err.size > 0 ? "" : "the compiler failed\n";
	}
}

static void
answer(const struct submission *submission, const struct run_request *request)
{
	const struct run *run = &submission->worker->run;
	char line[96];
	enum outcome outcome = describe(run, submission->name, line, sizeof line);
	bool is_compile_error = outcome == OUTCOME_COMPILE_ERROR;
	struct clean out = clean(&run->out), err = clean(&run->err);
	const char *more = run->result.verdict == VERDICT_COMPILE_ERROR ? compiler_line(run) : line;
	struct adapter_reply reply = { .piece = NULL };

	adapter_reply_json(&reply, "{\"run_id\":");
	adapter_reply_string(&reply, submission->exchange->request_id);
	adapter_reply_json(&reply, ",\"outcome\":%d,\"cmpinfo\":\"", outcome);
	if (is_compile_error) {
		adapter_reply_inside(&reply, err.bytes, err.size);
		adapter_reply_inside(&reply, more, strlen(more));
	}
	adapter_reply_json(&reply, "\",\"stdout\":");
	adapter_reply_text(&reply, out.bytes, out.size);
	adapter_reply_json(&reply, ",\"stderr\":\"");
	if (!is_compile_error) {
		adapter_reply_inside(&reply, err.bytes, err.size);
		adapter_reply_inside(&reply, more, strlen(more));
	}
	adapter_reply_json(&reply, "\",\"ignored\":%s,",
	    json_object_to_json_string_ext(submission->ignored, JSON_C_TO_STRING_PLAIN));
	adapter_reply_facts(&reply, run, submission->worker->config, request);
	adapter_reply_json(&reply, "}");
	adapter_reply_send(&reply, &submission->exchange->reply, 200);
	free(out.owned);
	free(err.owned);
}

/* Answer a request that was not carried out. */
static void
answer_refusal(struct exchange *exchange, struct http_error *error)
{
	if (error->status == 400) {
		fail_with(exchange, error);
	} else if (strcmp(exchange->outcome, "rate") == 0) {
		http_error_set(error, 429, "Max RUN rate for this server exceeded");
		fail_with(exchange, error);
	} else if (error->status == 429 || error->status == 503) {
		answer_outcome(exchange, OUTCOME_OVERLOAD, "", "");
	} else {
		answer_outcome(exchange, OUTCOME_INTERNAL_ERROR, "", error->text);
	}
}

static bool
is_overload_test(struct json_object *spec)
{
	struct json_object *source = adapter_member(spec, "sourcecode");

	return json_object_is_type(source, json_type_string) && strcmp(json_object_get_string(source), OVERLOAD) == 0;
}

/* Carry out the run that `spec` describes, which stays the caller's. */
static void
run(struct submission *submission, struct json_object *spec, size_t size)
{
	struct exchange *exchange = submission->exchange;
	struct run_request request;
	struct http_error error;
	bool is_compile_error;

	if (translate(submission, spec, &is_compile_error, &error) != 0) {
		json_object_put(submission->ours);
		if (is_compile_error)
			answer_outcome(exchange, OUTCOME_COMPILE_ERROR, error.text, "");
		else
			fail_with(exchange, &error);
		return;
	}
	if (is_overload_test(spec)) {
		json_object_put(submission->ours);
		answer_outcome(exchange, OUTCOME_OVERLOAD, "", "");
		return;
	}
	if (adapter_run(submission->worker, exchange, submission->ours, NULL, size, &request, &error) == 0)
		answer(submission, &request);
	else
		answer_refusal(exchange, &error);
	run_release(&submission->worker->run);
}

static void
serve_runs(struct worker *worker, struct exchange *exchange, const char *rest)
{
	struct submission submission = { .worker = worker, .exchange = exchange };
	struct json_object *tree, *spec;
	struct http_error error;
	size_t size;

	(void)rest;
	tree = adapter_read(worker, exchange, &size, &error);
	if (tree == NULL) {
		if (error.status == 400)
			http_error_set(&error, 400, "Non-JSON post data received");
		fail_with(exchange, &error);
		return;
	}
	spec = adapter_member(tree, "run_spec");
	if (!json_object_is_type(spec, json_type_object)) {
		json_object_put(tree);
		http_error_set(&error, 400, "No run_spec attribute found in post data");
		fail_with(exchange, &error);
		return;
	}
	submission.ours = json_object_new_object();
	submission.ignored = json_object_new_array();
	run(&submission, spec, size);
	json_object_put(submission.ignored);
	json_object_put(tree);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void
serve_file_there(struct worker *worker, struct exchange *exchange, const char *id)
{
	(void)worker;
	(void)id;
	reply_send(&exchange->reply, 404, NULL, "", 0);
}

static void
serve_file_put(struct worker *worker, struct exchange *exchange, const char *id)
{
	struct http_error error;
	struct json_object *tree, *content;
	size_t size;

	if (!is_alphanumeric(id, "")) {
		http_error_set(&error, 404, "Not Found");
		fail_with(exchange, &error);
		return;
	}
	tree = adapter_read(worker, exchange, &size, &error);
	content = adapter_member(tree, "file_contents");
	if (tree == NULL && error.status != 400)
		; /* for want of room or memory */
	else if (!json_object_is_type(content, json_type_string))
		http_error_set(&error, 400, "put: missing file_contents parameter");
	else
		http_error_set(&error, 500, "put: failed to write file %.64s to cache", id);
	json_object_put(tree);
	fail_with(exchange, &error);
}

static const char *const prefixes[] = { "/jobe/index.php/restapi/", NULL };

static const struct adapter_route routes[] = {
	{ "languages", "GET", "/jobe/languages", serve_languages },
	{ "runs", "POST", "/jobe/runs", serve_runs },
	{ "files/", "GET", "/jobe/files/ID", serve_file_there },
	{ "files/", "PUT", "/jobe/files/ID", serve_file_put },
};

const struct adapter adapter_jobe = {
	.protocol = ADAPTER_JOBE,
	.log_name = "/jobe/",
	.prefixes = prefixes,
	.routes = routes,
	.route_count = sizeof routes / sizeof routes[0],
	.unauthorized = "/.forbidden",
	.unknown_key = "Unknown API key",
	.unknown_key_status = 403,
	.wrong_method_status = 404,
	.fail = fail,
};
