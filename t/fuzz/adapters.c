/*
 * adapters.c - the bodies of the protocols of other services, up to the reply in their form.
 *
 * The first two bytes choose the route and how the run ends; the rest is the body. This file takes
 * the place of the worker around the adapters: of route.c, auth.c, run.c and libfcgi.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/adapter.h"
#include "auth.h"
#include "fuzz.h"
#include "request_limits.h"
#include "route.h"

#define REPLY_BYTES (1 << 20)

static char *words[] = { "/usr/bin/gcc", "-Wall", "main.c", "{sources}", "-lm" };
static char *options[] = { "-O0", "-Werror", "-std=c99" };
static char *protocols[] = { "piston", "sandboxfusion", "jobe" };
static char *python_names[] = { "python", "py", "python3" }, *cpp_names[] = { "cpp" }, *c_names[] = { "c" };

#define MOST \
	{ \
		120000, 60000, 1 << 30, 8, 1 << 20, 1 << 20, 100, 1024, 5000, 64 << 20 \
	}

static struct language_config c = {
	.name = "c",
	.main_file = "main.c",
	.is_default = true,
	.warm_count = 1,
	.compile = { .command = { words, 5 }, .output = "main", .options = { options, 3 }, .limits = MOST },
	.limits = { MOST, MOST },
	.adapter_names = { { c_names, 1 }, { cpp_names, 1 }, { c_names, 1 } },
};

static struct language_config python = {
	.name = "python3",
	.main_file = "main.py",
	.driver = "python3",
	.is_default = true,
	.warm_count = 1,
	.limits = { { 15000, 10000, 1 << 28, 1, 1000, 2000, 20, 256, 4096, 8 << 20 }, MOST },
	.adapter_names = { { python_names, 3 }, { python_names, 1 }, { python_names + 2, 1 } },
};

static struct config config = { .language = { &c, &python },
	.language_count = 2,
	.collect_bytes = 1 << 20,
	.body_bytes = 1 << 20,
	.queue_ms = 1000,
	.adapters = { protocols, 3 } };

static const struct key_config key = { .name = "fuzz", .maximum = MOST, .all_languages = true };

static const uint8_t *input;
static size_t input_size;
static uint8_t ending;
static char reply[REPLY_BYTES];
static size_t reply_size;
static bool has_run;

/* ---- in place of libfcgi ------------------------------------------------------------------------------------------ */

char *
FCGX_GetParam(const char *name, FCGX_ParamArray envp)
{
	static char type[] = "application/json";

	(void)envp;
	return strcmp(name, "CONTENT_TYPE") == 0 ? type : NULL;
}

int
FCGX_PutStr(const char *bytes, int size, FCGX_Stream *stream)
{
	(void)stream;
	must(size >= 0 && reply_size + (size_t)size < sizeof reply);
	memcpy(reply + reply_size, bytes, (size_t)size);
	reply_size += (size_t)size;
	reply[reply_size] = '\0';
	return size;
}

/* ---- in place of the rest of the worker --------------------------------------------------------------------------- */

enum auth
auth_find(const struct key_list *keys, struct exchange *exchange, const char *otherwise)
{
	(void)keys;
	must(otherwise == NULL);
	exchange->key = &key;
	return AUTH_GOOD;
}

int
auth_check_request(const struct config *of, const struct key_config *its_key, struct run_request *request,
    struct http_error *error)
{
	(void)error;
	must(of == &config && its_key == &key && request->tree != NULL);
	return 0;
}

void
access_log_request(struct access_log *log, const char *language, const struct run_request *request, size_t body_bytes)
{
	(void)log;
	must(language != NULL && request->code.size > 0 && body_bytes <= input_size);
}

int
runner_link_ask(struct runner_link *link, const struct proto_request *request, enum reconnect reconnect,
    struct proto_reply *answer)
{
	(void)link;
	(void)reconnect;
	must(request->kind == PROTO_LANGUAGE && request->index < config.language_count);
	*answer = (struct proto_reply){ .kind = PROTO_LANGUAGE, .u.language = { .available = 1, .version = "3.11.2" } };
	return 0;
}

void
run_release(struct run *run)
{
	run->compilation.took_place = false;
}

char *
route_read_body(struct worker *worker, struct exchange *exchange, size_t *size, struct http_error *error)
{
	char *body = malloc(input_size + 1);

	(void)worker;
	(void)exchange;
	(void)error;
	must(body != NULL);
	memcpy(body, input, input_size);
	*size = input_size;
	return body;
}

/* Check that no limit is above the most, and that each is one that a run can have. */
static void
check_request(const struct run_request *request)
{
	const struct language_config *language;

	must(request->language < config.language_count);
	language = config.language[request->language];
	must(request->code.size > 0 && !request->network && request->env.count == 0 && request->preload.size == 0);
	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		uint64_t limit = request_limit_of(&request_limits[i], &request->limits);

		must(limit >= request_limits[i].least || strcmp(request_limits[i].name, "threads") == 0);
		must(limit <= request_limit_of(&request_limits[i], &language->limits.maximum));
	}
	must(request->compiler.wall_ms <= language->compile.limits.wall_ms);
	must(request->compiler.cpu_ms <= language->compile.limits.cpu_ms);
	must(request->compiler.memory_bytes <= language->compile.limits.memory_bytes);
	for (size_t i = 0; i < request->files.count; i++) {
		const char *path = request->files.file[i].path.bytes;

		must(path[0] != '/' && strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0 && strstr(path, "/../") == NULL);
	}
}

int
route_run(struct worker *worker, struct exchange *exchange, struct run_request *request, struct http_error *error,
    const char **cause)
{
	static char out[] = "o\xff\0\"", err[] = "  File \"x\"\n\nSyntaxError: \xc3";
	struct run *run = &worker->run;
	bool is_compiled = config.language[request->language]->compile.command.count > 0;

	check_request(request);
	request_free(request);
	*cause = NULL;
	has_run = true;
	if (ending >= VERDICT_COUNT) {
		exchange->outcome = ending % 2 == 0 ? "rate" : "busy";
		return http_error_set(error, ending % 3 == 0 ? 429 : ending % 3 == 1 ? 503 : 500, "refused");
	}
	run->out = (struct output){ .bytes = out, .size = ending % 3 == 0 ? 0 : sizeof out };
	run->err = (struct output){ .bytes = err, .size = ending % 4 == 0 ? 0 : sizeof err - 1, .truncated = ending % 2 == 0 };
	run->result = (struct run_result){ .verdict = ending,
		.exit_code = ending % 5 - 1,
		.signal = ending % 7 == 0 ? SIGSEGV : 0 };
	run->compilation.took_place = is_compiled;
	run->compilation.result = run->result;
	run->compilation.text = run->out;
	if (!is_compiled && ending == VERDICT_COMPILE_ERROR)
		run->result.verdict = VERDICT_EXIT;
	return 0;
}

/* ---- the target ---------------------------------------------------------------------------------------------------- */

static const struct route {
	const char *path, *method;
} routes[] = { { "/api/v2/execute", "POST" }, { "/run_code", "POST" }, { "/jobe/index.php/restapi/runs", "POST" },
	{ "/api/v2/piston/packages", "POST" }, { "/jobe/index.php/restapi/files/abcdefgh", "PUT" },
	{ "/api/v2/packages", "DELETE" } };

/* The reply has the length that it announces, and is JSON in UTF-8. */
static void
check_reply(void)
{
	char *end = strstr(reply, "\r\n\r\n"), *length = strstr(reply, "Content-Length: ");
	enum json_tokener_error error;
	struct json_object *tree;

	must(strncmp(reply, "Status: ", 8) == 0 && end != NULL && length != NULL && length < end);
	end += 4;
	must(strtoull(length + 16, NULL, 10) == reply_size - (size_t)(end - reply));
	must(fuzz_is_utf8(end, reply_size - (size_t)(end - reply)));
	must(strlen(end) == reply_size - (size_t)(end - reply));
	tree = json_tokener_parse_verbose(end, &error);
	must(error == json_tokener_success);
	json_object_put(tree);
}

static void
try(const struct route *route)
{
	struct worker worker = { .config = &config, .cut_fd = -1 };
	struct exchange exchange = { .request_id = "fuzz-0001", .key_name = "-", .outcome = "-" };
	FCGX_Request fcgi = { .ipcFd = -1 };

	exchange.fcgi = &fcgi;
	reply_size = 0;
	has_run = false;
	must(adapter_serve(&worker, &exchange, route->path, route->method) != NULL);
	check_reply();
	must(!has_run || exchange.reply.status != 422);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	ending = data[1] % (VERDICT_COUNT + 6);
	input = data + 2;
	input_size = size - 2;
	do {
		fuzz_begin();
		try(&routes[data[0] % (sizeof routes / sizeof routes[0])]);
	} while (!fuzz_end());
	return 0;
}
