/*
 * sandboxfusion.c - SandboxFusion's protocol: run_code, and a ping. docs/adapters.md has the table
 * of fields. Runs in the worker, over untrusted input.
 *
 * Its clients train models. They take whatever is no answer for a wrong program, and send a request
 * again after 504 only. So a run that certainly has not begun is answered with 504.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/adapter.h"
#include "adapters/adapter_content.h"
#include "adapters/adapter_fields.h"
#include "adapters/adapter_language.h"
#include "adapters/adapter_reply.h"

#define MIB 1048576.0
#define MEMORY_EXIT 137         /* what a shell reports of a program that was killed for its memory or output */
#define LONGEST_S 1000000.      /* of a timeout; the configuration allows less */
#define LARGEST_MIB 1000000000. /* the same of a limit of memory */

/* The languages of the protocol. One that is not here is a fault of the request; one that is not
 * installed is a fault of the sandbox. */
static const char *const languages[] = { "python", "cpp", "nodejs", "go", "go_test", "java", "php", "csharp", "bash",
	"typescript", "sql", "rust", "cuda", "lua", "R", "perl", "D_ut", "ruby", "scala", "julia", "pytest", "junit",
	"kotlin_script", "jest", "verilog", "python_gpu", "lean", "swift", "racket" };

struct run_code {
	double compile_timeout, run_timeout, memory_limit_mb;
	struct json_object *code, *input, *language, *files, *fetch_files;
};

#define AT(member) .offset = offsetof(struct run_code, member)

static const struct adapter_field fields[] = {
	{ .name = "compile_timeout", .type = ADAPTER_NUMBER, .as_text = true, AT(compile_timeout) },
	{ .name = "run_timeout", .type = ADAPTER_NUMBER, .as_text = true, AT(run_timeout) },
	{ .name = "memory_limit_MB", .type = ADAPTER_INTEGER, .as_text = true, AT(memory_limit_mb) },
	{ .name = "code", .type = ADAPTER_STRING, .required = true, AT(code) },
	{ .name = "stdin", .type = ADAPTER_STRING, .may_be_null = true, AT(input) },
	{ .name = "language", .type = ADAPTER_STRING, .required = true, AT(language) },
	{ .name = "files", .type = ADAPTER_BASE64S, AT(files) },
	{ .name = "fetch_files", .type = ADAPTER_STRINGS, AT(fetch_files) },
	{ .name = NULL },
};

#undef AT

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void
fail(struct exchange *exchange, const struct http_error *error, const char *header)
{
	struct json_object *body = json_object_new_object();

	json_object_object_add(body, "detail", adapter_reply_clean(error->text));
	adapter_reply_value(&exchange->reply, error->status, header, body);
}

/* Add a fault to the list of a request that is not valid. */
static void
add_fault(struct json_object *list, const char *type, const char *name, const char *element, const char *text)
{
	struct json_object *fault = json_object_new_object(), *place = json_object_new_array();

	json_object_array_add(place, json_object_new_string("body"));
	if (name != NULL)
		json_object_array_add(place, json_object_new_string(name));
	if (element != NULL)
		json_object_array_add(place, adapter_reply_clean(element));
	json_object_object_add(fault, "type", json_object_new_string(type));
	json_object_object_add(fault, "loc", place);
	json_object_object_add(fault, "msg", adapter_reply_clean(text));
	json_object_array_add(list, fault);
}

static void
on_fault(void *list, const struct adapter_field *field, enum adapter_fault fault, const char *element)
{
	static const struct {
		const char *type, *text;
	} wrong[] = {
		[ADAPTER_STRING] = { "string_type", "Input should be a valid string" },
		[ADAPTER_STRINGS] = { "list_type", "Input should be a valid list" },
		[ADAPTER_ARRAY] = { "list_type", "Input should be a valid list" },
		[ADAPTER_BASE64S] = { "dict_type", "Input should be a valid dictionary" },
		[ADAPTER_OBJECT] = { "dict_type", "Input should be a valid dictionary" },
		[ADAPTER_NUMBER] = { "float_type", "Input should be a valid number" },
		[ADAPTER_INTEGER] = { "int_type", "Input should be a valid integer" },
	};

	if (fault == ADAPTER_MISSING)
		add_fault(list, "missing", field->name, NULL, "Field required");
	else if (fault == ADAPTER_WRONG_ELEMENT)
		add_fault(list, wrong[ADAPTER_STRING].type, field->name, element, wrong[ADAPTER_STRING].text);
	else
		add_fault(list, wrong[field->type].type, field->name, NULL, wrong[field->type].text);
}

/* Answer a request that is not valid, and free the list of its faults. */
static void
refuse(struct exchange *exchange, struct json_object *list)
{
	struct json_object *body = json_object_new_object();

	json_object_object_add(body, "detail", list);
	adapter_reply_value(&exchange->reply, 422, NULL, body);
}

static void
refuse_body(struct exchange *exchange, const struct http_error *error)
{
	struct json_object *list = json_object_new_array();

	add_fault(list, "json_invalid", NULL, NULL, error->text);
	refuse(exchange, list);
}

/* Answer that the sandbox could not run the program. */
static void
answer_fault(struct exchange *exchange, const char *text)
{
	struct adapter_reply reply = { .piece = NULL };

	adapter_reply_json(&reply, "{\"status\":\"SandboxError\",\"message\":");
	adapter_reply_string(&reply, text);
	adapter_reply_json(&reply, ",\"compile_result\":null,\"run_result\":null,\"executor_pod_name\":null,\"files\":{}}");
	adapter_reply_send(&reply, &exchange->reply, 200);
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static bool
is_language(const char *name)
{
	for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++) {
		if (strcmp(languages[i], name) == 0)
			return true;
	}
	return false;
}

static uint64_t
milliseconds(double seconds)
{
	return seconds <= 0 ? 1 : (uint64_t)((seconds < LONGEST_S ? seconds : LONGEST_S) * 1000 + 0.999);
}

/* Files in base64, and those that are to come back. Returns 0, or -1 without memory. */
static int
take_files(const struct run_code *code, struct json_object *ours)
{
	if (code->files != NULL) {
		json_object_object_foreach(code->files, path, content) {
			size_t size = (size_t)json_object_get_string_len(content);
			char *text = malloc(ADAPTER_CONTENT_SIZE(size));

			if (text == NULL)
				return -1;
			/* The original leaves out a file without content. */
			if (content != NULL) {
				size = adapter_content_base64(json_object_get_string(content), size, text);
				adapter_file(ours, path, json_object_new_string_len(text, (int)size), true);
			}
			free(text);
		}
	}
	if (code->fetch_files != NULL)
		json_object_object_add(ours, "collect", json_object_get(code->fetch_files));
	return 0;
}

/* Make ours of a request that is valid. Returns it, or NULL without memory. */
static struct json_object *
translate(struct worker *worker, struct exchange *exchange, const struct run_code *code, size_t index,
    struct run_limits *compiler)
{
	const struct language_config *language = worker->config->language[index];
	struct json_object *ours = json_object_new_object();
	uint64_t run_ms = milliseconds(code->run_timeout), compile_ms = milliseconds(code->compile_timeout);

	json_object_object_add(ours, "language", json_object_new_string(language->name));
	if (take_files(code, ours) != 0) {
		json_object_put(ours);
		return NULL;
	}
	adapter_program(language, ours, NULL, code->code);
	if (code->input != NULL)
		json_object_object_add(ours, "stdin", json_object_get(code->input));
	adapter_limit(worker, exchange, index, ours, "wall_ms", run_ms);
	adapter_limit(worker, exchange, index, ours, "cpu_ms", run_ms);
	if (code->memory_limit_mb > 0)
		adapter_limit(worker, exchange, index, ours, "memory_bytes",
		    (uint64_t)((code->memory_limit_mb < LARGEST_MIB ? code->memory_limit_mb : LARGEST_MIB) * MIB));
	*compiler = language->compile.limits;
	compiler->wall_ms = compile_ms < compiler->wall_ms ? compile_ms : compiler->wall_ms;
	return ours;
}

/* ---- the reply --------------------------------------------------------------------------------------------------- */

/* The status of a command, its exit code, and whether it has one. */
struct command {
	bool timed_out;
	int code;
	const char *line; /* for stderr, if the protocol has no word for the end */
};

static struct command
describe(const struct run_result *result)
{
	switch ((enum verdict)result->verdict) {
	case VERDICT_TIMEOUT:
	case VERDICT_CPU_LIMIT:
		return (struct command){ .timed_out = true };
	case VERDICT_MEMORY_LIMIT:
		return (struct command){ .code = MEMORY_EXIT, .line = "memory limit exceeded\n" };
	case VERDICT_OUTPUT_LIMIT:
		return (struct command){ .code = MEMORY_EXIT, .line = "output limit exceeded\n" };
	case VERDICT_CANCELLED:
		return (struct command){ .code = MEMORY_EXIT, .line = "cancelled\n" };
	case VERDICT_OK:
	case VERDICT_EXIT:
	case VERDICT_SIGNAL:
	case VERDICT_PROCESS_LIMIT:
	case VERDICT_DISK_LIMIT:
	case VERDICT_DENIED:
	case VERDICT_COMPILE_ERROR:
	case VERDICT_COUNT:
		break;
	}
	return (struct command){ .code = result->signal != 0 ? -result->signal : result->exit_code };
}

static void
put_command(struct adapter_reply *reply, const struct run_result *result, const struct output *out, const struct output *err)
{
	struct command command = describe(result);

	adapter_reply_json(reply, "{\"status\":\"%s\",\"execution_time\":%" PRIu64 ".%06u,\"return_code\":",
	    command.timed_out ? "TimeLimitExceeded" : "Finished", result->wall_us / 1000000,
	    (unsigned)(result->wall_us % 1000000));
	if (command.timed_out)
		adapter_reply_json(reply, "null");
	else
		adapter_reply_json(reply, "%d", command.code);
	adapter_reply_json(reply, ",\"stdout\":");
	adapter_reply_text(reply, out != NULL ? out->bytes : "", out != NULL ? out->size : 0);
	adapter_reply_json(reply, ",\"stderr\":\"");
	adapter_reply_inside(reply, err->bytes, err->size);
	if (command.line != NULL)
		adapter_reply_inside(reply, command.line, strlen(command.line));
	adapter_reply_json(reply, "\"}");
}

static void
put_files(struct adapter_reply *reply, const struct collected *files)
{
	bool is_first = true;

	adapter_reply_json(reply, ",\"files\":{");
	for (size_t i = 0; i < files->count; i++) {
		const struct collected_file *file = &files->file[i];

		/* The protocol has no word for a part of a file. */
		if (file->reason != NULL || file->content.size != file->size)
			continue;
		if (!is_first)
			adapter_reply_json(reply, ",");
		is_first = false;
		adapter_reply_text(reply, file->path.bytes, file->path.size);
		adapter_reply_json(reply, ":");
		adapter_reply_base64(reply, file->content.bytes, file->content.size);
	}
	adapter_reply_json(reply, "},");
}

static bool
is_success(const struct run_result *result)
{
	struct command command = describe(result);

	return !command.timed_out && command.code == 0;
}

static void
answer(struct worker *worker, struct exchange *exchange, const struct run_request *request)
{
	const struct run *run = &worker->run;
	const struct compilation *compilation = &run->compilation;
	bool has_run = run->result.verdict != VERDICT_COMPILE_ERROR;
	struct adapter_reply reply = { .piece = NULL };
	bool succeeded = has_run && is_success(&run->result);

	adapter_reply_json(&reply, "{\"status\":\"%s\",\"message\":\"\",\"compile_result\":", succeeded ? "Success" : "Failed");
	if (compilation->took_place)
		put_command(&reply, &compilation->result, NULL, has_run ? &compilation->text : &run->err);
	else
		adapter_reply_json(&reply, "null");
	adapter_reply_json(&reply, ",\"run_result\":");
	if (has_run)
		put_command(&reply, &run->result, &run->out, &run->err);
	else
		adapter_reply_json(&reply, "null");
	adapter_reply_json(&reply, ",\"executor_pod_name\":null");
	put_files(&reply, &run->files);
	adapter_reply_facts(&reply, run, worker->config, request);
	adapter_reply_json(&reply, "}");
	adapter_reply_send(&reply, &exchange->reply, 200);
}

/* Answer a request that was not carried out. */
static void
answer_refusal(struct exchange *exchange, struct http_error *error)
{
	if (error->status == 429 || error->status == 503) {
		error->status = 504;
		fail(exchange, error, NULL);
	} else {
		answer_fault(exchange, error->text);
	}
}

static void
serve_run_code(struct worker *worker, struct exchange *exchange, const char *rest)
{
	struct run_code code = { .compile_timeout = 10, .run_timeout = 10, .memory_limit_mb = -1 };
	struct json_object *tree, *ours, *faults;
	struct run_request request;
	struct run_limits compiler;
	struct http_error error;
	const char *language;
	size_t size;
	int index;

	(void)rest;
	tree = adapter_read(worker, exchange, &size, &error);
	if (tree == NULL) {
		if (error.status == 400)
			refuse_body(exchange, &error);
		else
			fail(exchange, &error, NULL);
		return;
	}
	faults = json_object_new_array();
	adapter_fields_take(tree, fields, &code, on_fault, faults);
	language = code.language != NULL ? json_object_get_string(code.language) : "";
	if (code.language != NULL && !is_language(language))
		add_fault(faults, "literal_error", "language", NULL, "Input should be one of the languages of SandboxFusion");
	if (json_object_array_length(faults) > 0) {
		json_object_put(tree);
		refuse(exchange, faults);
		return;
	}
	json_object_put(faults);
	index = adapter_language_next(worker->config, ADAPTER_SANDBOXFUSION, language, -1);
	if (index < 0) {
		http_error_set(&error, 400, "%s is not available on this server", language);
		json_object_put(tree);
		answer_fault(exchange, error.text);
		return;
	}
	ours = translate(worker, exchange, &code, (size_t)index, &compiler);
	json_object_put(tree);
	if (ours == NULL) {
		answer_fault(exchange, "out of memory");
		return;
	}
	if (adapter_run(worker, exchange, ours, &compiler, size, &request, &error) == 0)
		answer(worker, exchange, &request);
	else
		answer_refusal(exchange, &error);
	run_release(&worker->run);
}

static void
serve_ping(struct worker *worker, struct exchange *exchange, const char *rest)
{
	(void)worker;
	(void)rest;
	reply_send(&exchange->reply, 200, NULL, "\"pong\"", 6);
}

static const char *const prefixes[] = { "/", NULL };

static const struct adapter_route routes[] = {
	{ "run_code", "POST", "/run_code", serve_run_code },
	{ "v1/ping", "GET", "/v1/ping", serve_ping },
};

const struct adapter adapter_sandboxfusion = {
	.protocol = ADAPTER_SANDBOXFUSION,
	.log_name = "/run_code",
	.prefixes = prefixes,
	.shares_prefixes = true,
	ADAPTER_ROUTES(routes),
	.unauthorized = "/.unauthorized",
	.unknown_key = "unauthorized: a valid key is required, in X-Api-Key or in the path, as /k/KEY/run_code",
	.unknown_key_status = 401,
	.wrong_method_status = 405,
	.fail = fail,
};
