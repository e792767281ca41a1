/*
 * piston.c - Piston's second version of its protocol: runtimes, execute, packages. docs/adapters.md
 * has the table of fields. Runs in the worker, over untrusted input.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adapters/adapter.h"
#include "adapters/adapter_content.h"
#include "adapters/adapter_language.h"
#include "adapters/adapter_reply.h"
#include "adapters/semver.h"
#include "path_fault.h"

#define NAME_SIZE 256 /* of a file without a name, and of texts in errors */

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void
fail(struct exchange *exchange, const struct http_error *error, const char *header)
{
	struct json_object *body = json_object_new_object();

	json_object_object_add(body, "message", adapter_reply_clean(error->text));
	adapter_reply_value(&exchange->reply, error->status, header, body);
}

static void
fail_with(struct exchange *exchange, struct http_error *error)
{
	fail(exchange, error, NULL);
}

/* ---- languages --------------------------------------------------------------------------------------------------- */

/* The latest of the languages of this name whose version is in the range; -1: there is none. */
static int
find_runtime(struct worker *worker, const char *name, const char *range, struct semver *version)
{
	const struct config *config = worker->config;
	int found = -1;

	for (int i = adapter_language_next(config, ADAPTER_PISTON, name, -1); i >= 0;
	     i = adapter_language_next(config, ADAPTER_PISTON, name, i)) {
		struct proto_language language;
		struct semver its;

		if (adapter_language_ask(worker, (size_t)i, &language) != 0 || language.available == 0)
			continue;
		semver_take(language.version, &its);
		if (!semver_is_in(&its, range) || (found >= 0 && semver_compare(&its, version) <= 0))
			continue;
		found = i;
		*version = its;
	}
	return found;
}

/* All names of a language but the first. */
static struct json_object *
aliases_of(const struct language_config *language)
{
	const struct strings *names = &language->adapter_names[ADAPTER_PISTON];
	bool has_own = names->count > 0;
	struct json_object *list = json_object_new_array();

	if (!has_own)
		names = &language->aliases;
	for (size_t i = has_own; i < names->count; i++)
		json_object_array_add(list, json_object_new_string(names->item[i]));
	return list;
}

/* Answer with a list of all languages that are installed. */
static void
answer_list(struct worker *worker, struct exchange *exchange, bool is_packages)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < worker->config->language_count; i++) {
		const struct language_config *language = worker->config->language[i];
		struct json_object *one;
		struct proto_language answer;
		char text[SEMVER_TEXT_SIZE];
		struct semver version;
		struct http_error error;

		if (adapter_language_ask(worker, i, &answer) != 0) {
			json_object_put(list);
			http_error_set(&error, 503, "the runner cannot be reached");
			exchange_note_failure(exchange, &error, worker->link.error);
			fail_with(exchange, &error);
			return;
		}
		if (answer.available == 0)
			continue;
		semver_take(answer.version, &version);
		semver_print(&version, text);
		one = json_object_new_object();
		json_object_object_add(one, "language", json_object_new_string(adapter_language_name(language, ADAPTER_PISTON)));
		json_object_object_add(one, is_packages ? "language_version" : "version", json_object_new_string(text));
		if (is_packages)
			json_object_object_add(one, "installed", json_object_new_boolean(true));
		else
			json_object_object_add(one, "aliases", aliases_of(language));
		json_object_array_add(list, one);
	}
	adapter_reply_value(&exchange->reply, 200, NULL, list);
}

static void
serve_runtimes(struct worker *worker, struct exchange *exchange, const char *rest)
{
	(void)rest;
	answer_list(worker, exchange, false);
}

static void
serve_packages(struct worker *worker, struct exchange *exchange, const char *rest)
{
	(void)rest;
	answer_list(worker, exchange, true);
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

/*
 * Read a body. One whose type says that it is something else than JSON is refused as the original
 * does, but plain text is JSON here: some clients say so of what they send.
 */
static struct json_object *
read_body(struct worker *worker, struct exchange *exchange, size_t *size, struct http_error *error)
{
	const char *type = exchange_parameter(exchange, "CONTENT_TYPE");

	if (strncasecmp(type, "application/json", 16) != 0 && strncasecmp(type, "text/plain", 10) != 0) {
		http_error_set(error, 415, "requests must be of type application/json");
		return NULL;
	}
	return adapter_read(worker, exchange, size, error);
}

/* A string that is not empty and has no NUL in it. Returns NULL with `error` set if it is none. */
static const char *
required_string(struct json_object *tree, const char *name, struct http_error *error)
{
	struct json_object *value = adapter_member(tree, name);

	if (json_object_is_type(value, json_type_string) && json_object_get_string_len(value) > 0 &&
	    strlen(json_object_get_string(value)) == (size_t)json_object_get_string_len(value))
		return json_object_get_string(value);
	http_error_set(error, 400, "%s is required as a string", name);
	return NULL;
}

/* Whether the client is without a value: JavaScript's falsehoods. */
static bool
is_false(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return true;
	case json_type_boolean:
		return !json_object_get_boolean(value);
	case json_type_int:
	case json_type_double:
		return json_object_get_double(value) == 0;
	case json_type_string:
		return json_object_get_string_len(value) == 0;
	case json_type_object:
	case json_type_array:
		break;
	}
	return false;
}

/* The limits of a request, each in milliseconds or bytes. */
static const struct constraint {
	const char *name;
	const char *limit;  /* in API.md */
	size_t of_compiler; /* its place in struct run_limits, if it is the compiler's */
	bool is_compiler;
	bool may_be_none; /* -1 leaves it to the configuration */
} constraints[] = {
	{ "compile_memory_limit", NULL, offsetof(struct run_limits, memory_bytes), true, true },
	{ "run_memory_limit", "memory_bytes", 0, false, true },
	{ "compile_timeout", NULL, offsetof(struct run_limits, wall_ms), true, false },
	{ "run_timeout", "wall_ms", 0, false, false },
	{ "compile_cpu_time", NULL, offsetof(struct run_limits, cpu_ms), true, false },
	{ "run_cpu_time", "cpu_ms", 0, false, false },
};

/* A request on its way to ours. */
struct piston_execution {
	struct worker *worker;
	struct exchange *exchange;
	const struct language_config *language;
	size_t index; /* of the language */
	struct run_limits compiler;
	struct json_object *ours;
};

static int
take_constraint(struct piston_execution *execution, const struct constraint *constraint, struct json_object *value,
    struct http_error *error)
{
	uint64_t most;
	double number;

	if (is_false(value))
		return 0;
	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return http_error_set(error, 400, "If specified, %s must be a number", constraint->name);
	number = json_object_get_double(value);
	if (number == -1 && constraint->may_be_none)
		return 0;
	if (constraint->is_compiler)
		memcpy(&most, (char *)&execution->compiler + constraint->of_compiler, sizeof most);
	else
		most = adapter_most(execution->worker, execution->exchange, execution->index, constraint->limit);
	/* Without a compiler there is no limit that this could exceed. */
	if (number > (double)most && (!constraint->is_compiler || config_is_compiled(execution->language)))
		return http_error_set(error, 400, "%s cannot exceed the configured limit of %" PRIu64, constraint->name, most);
	if (!(number >= 0))
		return http_error_set(error, 400, "%s must be non-negative", constraint->name);
	most = number < 1 ? 1 : number < (double)most ? (uint64_t)number : most;
	if (constraint->is_compiler)
		memcpy((char *)&execution->compiler + constraint->of_compiler, &most, sizeof most);
	else
		adapter_limit(execution->worker, execution->exchange, execution->index, execution->ours, constraint->limit, most);
	return 0;
}

/* Base64 of a content that is not UTF-8. Returns a string of json-c; NULL: no memory. */
static struct json_object *
recode(struct json_object *content, const char *encoding)
{
	size_t size = (size_t)json_object_get_string_len(content), length;
	char *text = malloc(ADAPTER_CONTENT_SIZE(size));
	struct json_object *recoded;

	if (text == NULL)
		return NULL;
	length = strcmp(encoding, "hex") == 0 ? adapter_content_hex(json_object_get_string(content), size, text) :
	                                        adapter_content_base64(json_object_get_string(content), size, text);
	recoded = json_object_new_string_len(text, (int)length);
	free(text);
	return recoded;
}

static const char *
encoding_of(struct json_object *file)
{
	struct json_object *value = adapter_member(file, "encoding");
	const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

	/* Every other word is as if there were none. */
	return strcmp(text, "base64") == 0 || strcmp(text, "hex") == 0 ? text : "utf8";
}

/* The name of a file, in `name`. Returns 0, or -1 with `error` set. */
static int
name_file(struct json_object *file, size_t at, char name[NAME_SIZE], struct http_error *error)
{
	struct json_object *value = adapter_member(file, "name");
	const char *text, *fault;
	struct text path;

	snprintf(name, NAME_SIZE, "file%zu.code", at);
	if (is_false(value))
		return 0;
	if (!json_object_is_type(value, json_type_string))
		return http_error_set(error, 400, "files[%zu].name must be a string", at);
	if (json_object_get_string_len(value) >= NAME_SIZE ||
	    strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
		return http_error_set(error, 400, "files[%zu].name must be shorter than %d bytes, without NUL", at, NAME_SIZE);
	text = json_object_get_string(value);
	/* The original joins the name to its directory. */
	while (strncmp(text, "./", 2) == 0 || text[0] == '/')
		text += text[0] == '/' ? 1 : 2;
	path = (struct text){ text, strlen(text) };
	fault = path_fault(&path);
	if (fault != NULL)
		return http_error_set(error, 400, "files[%zu].name: %s", at, fault);
	snprintf(name, NAME_SIZE, "%s", text);
	return 0;
}

/* Put the files into ours. The first one of text is the program. */
static int
take_files(struct piston_execution *execution, struct json_object *files, struct http_error *error)
{
	size_t program = json_object_array_length(files);
	char name[NAME_SIZE];

	for (size_t i = 0; i < json_object_array_length(files); i++) {
		struct json_object *file = json_object_array_get_idx(files, i), *content = adapter_member(file, "content");
		const char *encoding = encoding_of(file);

		if (strcmp(encoding, "utf8") == 0 && program == json_object_array_length(files)) {
			program = i;
			continue;
		}
		if (name_file(file, i, name, error) != 0)
			return -1;
		content = strcmp(encoding, "utf8") == 0 ? json_object_get(content) : recode(content, encoding);
		if (content == NULL)
			return http_error_set(error, 500, "out of memory");
		adapter_file(execution->ours, name, content, strcmp(encoding, "utf8") != 0);
	}
	if (program == json_object_array_length(files))
		return http_error_set(error, 400, "files must include at least one utf8 encoded file");
	if (name_file(json_object_array_get_idx(files, program), program, name, error) != 0)
		return -1;
	adapter_program(execution->language, execution->ours, name,
	    adapter_member(json_object_array_get_idx(files, program), "content"));
	return 0;
}

/* The original ends every stdin with a line feed. */
static int
take_stdin(struct json_object *tree, struct json_object *ours, struct http_error *error)
{
	struct json_object *value = adapter_member(tree, "stdin");
	size_t size;
	char *text;

	if (value != NULL && !json_object_is_type(value, json_type_string))
		return http_error_set(error, 400, "stdin must be a string");
	size = value != NULL ? (size_t)json_object_get_string_len(value) : 0;
	if (size > 0 && json_object_get_string(value)[size - 1] == '\n') {
		json_object_object_add(ours, "stdin", json_object_get(value));
		return 0;
	}
	text = malloc(size + 1);
	if (text == NULL)
		return http_error_set(error, 500, "out of memory");
	if (size > 0)
		memcpy(text, json_object_get_string(value), size);
	text[size] = '\n';
	json_object_object_add(ours, "stdin", json_object_new_string_len(text, (int)size + 1));
	free(text);
	return 0;
}

static int
check_files(struct json_object *files, struct http_error *error)
{
	if (!json_object_is_type(files, json_type_array))
		return http_error_set(error, 400, "files is required as an array");
	for (size_t i = 0; i < json_object_array_length(files); i++) {
		if (!json_object_is_type(adapter_member(json_object_array_get_idx(files, i), "content"), json_type_string))
			return http_error_set(error, 400, "files[%zu].content is required as a string", i);
	}
	return 0;
}

/*
 * Make ours of the request, in the order of the original's checks. Returns 0, or -1 with `error`
 * set.
 */
static int
translate(struct piston_execution *execution, struct json_object *tree, struct semver *version, struct http_error *error)
{
	const char *language = required_string(tree, "language", error);
	const char *range = language != NULL ? required_string(tree, "version", error) : NULL;
	struct json_object *files = adapter_member(tree, "files"), *args = adapter_member(tree, "args");
	int found;

	if (range == NULL || check_files(files, error) != 0)
		return -1;
	found = find_runtime(execution->worker, language, range, version);
	if (found < 0)
		return http_error_set(error, 400, "%.64s-%.64s runtime is unknown", language, range);
	execution->index = (size_t)found;
	execution->language = execution->worker->config->language[found];
	execution->compiler = execution->language->compile.limits;
	json_object_object_add(execution->ours, "language", json_object_new_string(execution->language->name));
	if (take_files(execution, files, error) != 0)
		return -1;
	for (size_t i = 0; i < sizeof constraints / sizeof constraints[0]; i++) {
		if (take_constraint(execution, &constraints[i], adapter_member(tree, constraints[i].name), error) != 0)
			return -1;
	}
	if (args != NULL)
		json_object_object_add(execution->ours, "args", json_object_get(args));
	return take_stdin(tree, execution->ours, error);
}

/* ---- the reply --------------------------------------------------------------------------------------------------- */

/* How a stage ended, in the words of the original. */
struct stage {
	const struct output *out, *err;
	const struct run_result *result;
	const char *status; /* NULL: it ended well */
	const char *message;
	int signal;
	bool has_code;
};

/* A program that a signal has ended. */
static void
describe_signal(struct stage *stage, int number, char *text, size_t size)
{
	stage->status = "SG";
	stage->signal = number;
	stage->has_code = false;
	snprintf(text, size, "Caught fatal signal %d", number);
}

static void
describe_stage(struct stage *stage, char *text, size_t size)
{
	const struct run_result *result = stage->result;

	stage->has_code = result->exit_code >= 0;
	stage->message = text;
	text[0] = '\0';
	switch ((enum verdict)result->verdict) {
	case VERDICT_OK:
		stage->message = NULL;
		return;
	case VERDICT_TIMEOUT:
	case VERDICT_CPU_LIMIT:
		stage->status = "TO";
		stage->message = result->verdict == VERDICT_TIMEOUT ? "Time limit exceeded (wall clock)" : "Time limit exceeded";
		break;
	case VERDICT_OUTPUT_LIMIT:
		stage->status = stage->err->truncated && !stage->out->truncated ? "EL" : "OL";
		stage->message = stage->status[0] == 'E' ? "stderr length exceeded" : "stdout length exceeded";
		break;
	case VERDICT_MEMORY_LIMIT:
		describe_signal(stage, SIGKILL, text, size);
		stage->message = "Memory limit exceeded";
		return;
	case VERDICT_CANCELLED:
		describe_signal(stage, SIGKILL, text, size);
		return;
	case VERDICT_SIGNAL:
	case VERDICT_DENIED:
		if (result->signal != 0) {
			describe_signal(stage, result->signal, text, size);
			return;
		}
		/* fall through */
	case VERDICT_EXIT:
	case VERDICT_PROCESS_LIMIT:
	case VERDICT_DISK_LIMIT:
	case VERDICT_COMPILE_ERROR:
	case VERDICT_COUNT:
		stage->status = "RE";
		snprintf(text, size, "Exited with error status %d", result->exit_code);
		return;
	}
	/* The original kills it. */
	stage->signal = SIGKILL;
	stage->has_code = false;
}

static void
put_stage(struct adapter_reply *reply, const struct stage *stage)
{
	const struct run_result *result = stage->result;
	const char *name = stage->signal != 0 ? sigabbrev_np(stage->signal) : NULL;

	adapter_reply_json(reply, "{\"stdout\":");
	adapter_reply_text(reply, stage->out->bytes, stage->out->size);
	adapter_reply_json(reply, ",\"stderr\":");
	adapter_reply_text(reply, stage->err->bytes, stage->err->size);
	adapter_reply_json(reply, ",\"output\":\"");
	adapter_reply_inside(reply, stage->out->bytes, stage->out->size);
	adapter_reply_inside(reply, stage->err->bytes, stage->err->size);
	if (stage->has_code)
		adapter_reply_json(reply, "\",\"code\":%d", result->exit_code);
	else
		adapter_reply_json(reply, "\",\"code\":null");
	adapter_reply_json(reply, name != NULL ? ",\"signal\":\"SIG%s\"" : ",\"signal\":null%s", name != NULL ? name : "");
	adapter_reply_json(reply, ",\"message\":");
	if (stage->message != NULL)
		adapter_reply_string(reply, stage->message);
	else
		adapter_reply_json(reply, "null");
	adapter_reply_json(reply, stage->status != NULL ? ",\"status\":\"%s\"" : ",\"status\":null%s",
	    stage->status != NULL ? stage->status : "");
	adapter_reply_json(reply, ",\"cpu_time\":%" PRIu64 ",\"wall_time\":%" PRIu64 ",\"memory\":%" PRIu64 "}",
	    (result->cpu_us + 500) / 1000, (result->wall_us + 500) / 1000, result->memory_peak_bytes);
}

static void
answer(struct exchange *exchange, const struct piston_execution *execution, const struct run_request *request,
    const struct semver *version)
{
	static const struct output nothing = { .bytes = NULL };
	const struct run *run = &execution->worker->run;
	const struct compilation *compilation = &run->compilation;
	struct run_result failed = compilation->result;
	bool has_run = run->result.verdict != VERDICT_COMPILE_ERROR;
	struct stage ran = { .out = &run->out, .err = &run->err, .result = &run->result };
	struct stage compiled = { .out = &nothing, .err = has_run ? &compilation->text : &run->err, .result = &failed };
	char text[64], of_compiler[64], number[SEMVER_TEXT_SIZE];
	struct adapter_reply reply = { .piece = NULL };

	describe_stage(&ran, text, sizeof text);
	describe_stage(&compiled, of_compiler, sizeof of_compiler);
	semver_print(version, number);
	adapter_reply_json(&reply, "{");
	if (compilation->took_place) {
		adapter_reply_json(&reply, "\"compile\":");
		put_stage(&reply, &compiled);
		adapter_reply_json(&reply, ",");
	}
	adapter_reply_json(&reply, "\"run\":");
	/* A program that was not run has the compiler's result in its place. */
	put_stage(&reply, has_run ? &ran : &compiled);
	adapter_reply_json(&reply, ",\"language\":");
	adapter_reply_string(&reply, adapter_language_name(execution->language, ADAPTER_PISTON));
	adapter_reply_json(&reply, ",\"version\":\"%s\",", number);
	adapter_reply_facts(&reply, run, execution->worker->config, request);
	adapter_reply_json(&reply, "}");
	adapter_reply_send(&reply, &exchange->reply, 200);
}

static void
serve_execute(struct worker *worker, struct exchange *exchange, const char *rest)
{
	struct piston_execution execution = { .worker = worker, .exchange = exchange };
	struct json_object *tree;
	struct run_request request;
	struct http_error error;
	struct semver version;
	size_t size;

	(void)rest;
	tree = read_body(worker, exchange, &size, &error);
	if (tree == NULL) {
		fail_with(exchange, &error);
		return;
	}
	execution.ours = json_object_new_object();
	if (translate(&execution, tree, &version, &error) != 0) {
		json_object_put(execution.ours);
		json_object_put(tree);
		fail_with(exchange, &error);
		return;
	}
	/* Ours has its share of the texts. */
	json_object_put(tree);
	if (adapter_run(worker, exchange, execution.ours, &execution.compiler, size, &request, &error) == 0)
		answer(exchange, &execution, &request, &version);
	else
		fail_with(exchange, &error);
	run_release(&worker->run);
}

/* ---- packages ---------------------------------------------------------------------------------------------------- */

/* The package that a request names, in `name` and `version`. Returns 0, or -1 with `error` set. */
static int
find_package(struct worker *worker, struct exchange *exchange, char name[NAME_SIZE], struct semver *version,
    struct http_error *error)
{
	struct json_object *tree;
	const char *language, *range;
	size_t size;
	int found = -1;

	tree = read_body(worker, exchange, &size, error);
	if (tree == NULL)
		return -1;
	language = required_string(tree, "language", error);
	range = language != NULL ? required_string(tree, "version", error) : NULL;
	if (range != NULL) {
		found = find_runtime(worker, language, range, version);
		if (found < 0)
			http_error_set(error, 404, "Requested package %.64s-%.64s does not exist", language, range);
		else
			snprintf(name, NAME_SIZE, "%s", adapter_language_name(worker->config->language[found], ADAPTER_PISTON));
	}
	json_object_put(tree);
	return found < 0 ? -1 : 0;
}

/* To install what is installed is done at once. Nothing else can be installed over HTTP. */
static void
serve_install(struct worker *worker, struct exchange *exchange, const char *rest)
{
	char name[NAME_SIZE], text[SEMVER_TEXT_SIZE];
	struct json_object *body;
	struct http_error error;
	struct semver version;

	(void)rest;
	if (find_package(worker, exchange, name, &version, &error) != 0) {
		fail_with(exchange, &error);
		return;
	}
	semver_print(&version, text);
	body = json_object_new_object();
	json_object_object_add(body, "language", json_object_new_string(name));
	json_object_object_add(body, "version", json_object_new_string(text));
	adapter_reply_value(&exchange->reply, 200, NULL, body);
}

static void
serve_uninstall(struct worker *worker, struct exchange *exchange, const char *rest)
{
	char name[NAME_SIZE];
	struct http_error error;
	struct semver version;

	(void)rest;
	if (find_package(worker, exchange, name, &version, &error) == 0)
		http_error_set(&error, 500, "only the operator of this server removes a language");
	fail_with(exchange, &error);
}

/* ---- connect ----------------------------------------------------------------------------------------------------- */

/* FastCGI has a request and its answer, and no connection that goes both ways. */
static void
serve_connect(struct worker *worker, struct exchange *exchange, const char *rest)
{
	struct http_error error;

	(void)worker;
	(void)rest;
	http_error_set(&error, 501, "connect (WebSocket) is not available on this server; use POST execute");
	fail_with(exchange, &error);
}

static const char *const prefixes[] = { "/api/v2/piston/", "/api/v2/", NULL };

static const struct adapter_route routes[] = {
	{ "runtimes", "GET", "/api/v2/runtimes", serve_runtimes },
	{ "execute", "POST", "/api/v2/execute", serve_execute },
	{ "packages", "GET", "/api/v2/packages", serve_packages },
	{ "packages", "POST", "/api/v2/packages", serve_install },
	{ "packages", "DELETE", "/api/v2/packages", serve_uninstall },
	{ "connect", "GET", "/api/v2/connect", serve_connect },
};

const struct adapter adapter_piston = {
	.protocol = ADAPTER_PISTON,
	.log_name = "/api/v2/",
	.prefixes = prefixes,
	ADAPTER_ROUTES(routes),
	.unauthorized = "/.unauthorized",
	.unknown_key = "unauthorized: a valid X-Api-Key header is required",
	.unknown_key_status = 401,
	.wrong_method_status = 404,
	.fail = fail,
};
