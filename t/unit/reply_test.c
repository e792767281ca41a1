/*
 * reply_test.c - the text of a reply: valid JSON of exactly the announced length, and the words of
 * the contract.
 *
 * libfcgi is not linked: this file collects the output.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reply.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static char *sent;
static size_t sent_size;

int
FCGX_PutStr(const char *bytes, int size, FCGX_Stream *stream)
{
	(void)stream;
	sent = realloc(sent, sent_size + (size_t)size + 1);
	assert_non_null(sent);
	memcpy(sent + sent_size, bytes, (size_t)size);
	sent_size += (size_t)size;
	sent[sent_size] = '\0';
	return size;
}

static int
forget(void **state)
{
	(void)state;
	free(sent);
	sent = NULL;
	sent_size = 0;
	return 0;
}

/* Check the header against the body. Returns the body as a tree. */
static struct json_object *
body(const char *status_line)
{
	const char *start = strstr(sent, "\r\n\r\n"), *length = strstr(sent, "\r\nContent-Length: ");
	struct json_object *tree;
	enum json_tokener_error error;

	assert_memory_equal(sent, status_line, strlen(status_line));
	assert_non_null(strstr(sent, "\r\nContent-Type: application/json; charset=utf-8\r\n"));
	assert_non_null(start);
	assert_non_null(length);
	assert_int_equal(strtoul(length + 18, NULL, 10), sent_size - (size_t)(start + 4 - sent));
	tree = json_tokener_parse_verbose(start + 4, &error);
	assert_int_equal(error, json_tokener_success);
	return tree;
}

static struct json_object *
get(struct json_object *object, const char *name)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(object, name, &value));
	return value;
}

static const struct run_limits limits = { 15000, 10000, 268435456, 4, 1000, 67108864 };

static struct run
ended(enum verdict verdict, int exit_code, int number, const char *out, const char *err)
{
	return (struct run){
		.out = { .bytes = (char *)out, .size = strlen(out) },
		.err = { .bytes = (char *)err, .size = strlen(err) },
		.result = { .verdict = verdict,
		    .exit_code = exit_code,
		    .signal = number,
		    .processes_peak = 2,
		    .wall_us = 12034,
		    .cpu_us = 7,
		    .queue_us = 1000,
		    .spawn_us = 999999,
		    .memory_peak_bytes = 5000000000 },
	};
}

static void
test_ok(void **state)
{
	struct run run = ended(VERDICT_OK, 0, 0, "caf\xc3\xa9\n\xff", "a warning\n");

	run.level = LEVEL_CHROOT;
	struct reply reply = { 0 };
	struct json_object *tree, *data, *usage;

	(void)state;
	reply_run(&reply, &run, &limits);
	assert_int_equal(reply.status, 200);
	tree = body("Status: 200 OK\r\n");
	assert_int_equal(json_object_get_int(get(tree, "code")), 0);
	assert_string_equal(json_object_get_string(get(tree, "message")), "success");
	data = get(tree, "data");
	assert_string_equal(json_object_get_string(get(data, "stdout")), "caf\xc3\xa9\n\xef\xbf\xbd");
	assert_string_equal(json_object_get_string(get(data, "stderr")), "a warning\n");
	/* Dify fails its node on any text here, so output on stderr alone must leave it empty. */
	assert_string_equal(json_object_get_string(get(data, "error")), "");
	assert_int_equal(json_object_get_int(get(data, "exit_code")), 0);
	assert_null(get(data, "signal"));
	assert_string_equal(json_object_get_string(get(data, "status")), "ok");
	assert_false(json_object_get_boolean(get(data, "truncated")));
	assert_int_equal(json_object_array_length(get(data, "denied")), 0);
	assert_string_equal(json_object_get_string(get(data, "network")), "none");
	assert_string_equal(json_object_get_string(get(data, "isolation")), "chroot");
	usage = get(data, "usage");
	assert_string_equal(json_object_get_string(get(usage, "wall_ms")), "12.034");
	assert_string_equal(json_object_get_string(get(usage, "cpu_ms")), "0.007");
	assert_string_equal(json_object_get_string(get(usage, "queue_ms")), "1.000");
	assert_string_equal(json_object_get_string(get(usage, "spawn_ms")), "999.999");
	assert_int_equal(json_object_get_int64(get(usage, "memory_peak_bytes")), 5000000000);
	assert_int_equal(json_object_get_int(get(usage, "processes_peak")), 2);
	assert_int_equal(json_object_get_int(get(usage, "stdout_bytes")), 7);
	assert_int_equal(json_object_get_int(get(usage, "stderr_bytes")), 10);
	json_object_put(tree);
}

static void
test_every_other_end(void **state)
{
	static const struct {
		enum verdict verdict;
		int exit_code, number;
		const char *signal, *status, *error;
	} ends[] = {
		{ VERDICT_EXIT, 3, 0, NULL, "exit", "process exited with code 3\nE" },
		{ VERDICT_SIGNAL, -1, SIGSEGV, "SIGSEGV", "signal",
		    "process exited with code -1\nerror: signal: segmentation fault\nE" },
		{ VERDICT_SIGNAL, -1, 99, "99", "signal", "process exited with code -1\nerror: signal: unknown signal\nE" },
		{ VERDICT_TIMEOUT, -1, SIGKILL, "SIGKILL", "timeout",
		    "process exited with code -1\nerror: timeout (15000 ms)\nE" },
		{ VERDICT_CPU_LIMIT, -1, SIGKILL, "SIGKILL", "cpu_limit",
		    "process exited with code -1\nerror: cpu limit exceeded (10000 ms)\nE" },
		{ VERDICT_MEMORY_LIMIT, -1, SIGKILL, "SIGKILL", "memory_limit",
		    "process exited with code -1\nerror: memory limit exceeded (268435456 bytes)\nE" },
		{ VERDICT_OUTPUT_LIMIT, -1, SIGKILL, "SIGKILL", "output_limit",
		    "process exited with code -1\nerror: output limit exceeded (1000 bytes)\nE" },
		{ VERDICT_PROCESS_LIMIT, 1, 0, NULL, "process_limit",
		    "process exited with code 1\nerror: process limit exceeded (4)\nE" },
		{ VERDICT_DISK_LIMIT, 1, 0, NULL, "disk_limit",
		    "process exited with code 1\nerror: disk limit exceeded (67108864 bytes)\nE" },
		{ VERDICT_DENIED, 1, 0, NULL, "denied",
		    "process exited with code 1\nerror: operation not permitted: a "
		    "system call that only an attack makes\nE" },
		{ VERDICT_COMPILE_ERROR, 1, 0, NULL, "compile_error", "process exited with code 1\nerror: compile error\nE" },
		{ VERDICT_CANCELLED, -1, SIGKILL, "SIGKILL", "cancelled", "process exited with code -1\nerror: cancelled\nE" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(ends); i++) {
		struct run run = ended(ends[i].verdict, ends[i].exit_code, ends[i].number, "", "E");
		struct reply reply = { 0 };
		struct json_object *tree, *data, *name;

		forget(NULL);
		reply_run(&reply, &run, &limits);
		tree = body("Status: 200 OK\r\n");
		data = get(tree, "data");
		assert_int_equal(json_object_get_int(get(tree, "code")), 0);
		assert_string_equal(json_object_get_string(get(data, "status")), ends[i].status);
		assert_string_equal(json_object_get_string(get(data, "error")), ends[i].error);
		assert_int_equal(json_object_get_int(get(data, "exit_code")), ends[i].exit_code);
		name = get(data, "signal");
		if (ends[i].signal == NULL)
			assert_null(name);
		else
			assert_string_equal(json_object_get_string(name), ends[i].signal);
		json_object_put(tree);
	}
}

/* The compilation before a run. */
static void
test_compile(void **state)
{
	static const struct run_limits compiler_limits = { 30000, 20000, 1 << 30, 64, 2000, 1 << 28 };
	static const struct {
		enum verdict verdict, compiler;
		bool was_cached;
		const char *text, *status, *error;
	} ends[] = {
		{ VERDICT_OK, VERDICT_OK, false, "", "ok", "" },
		{ VERDICT_OK, VERDICT_OK, true, "", "ok", "" },
		{ VERDICT_OK, VERDICT_OK, false, "main.c:1: warning: \"x\" \xff\n", "ok", "" },
		{ VERDICT_TIMEOUT, VERDICT_OK, false, "", "timeout", "process exited with code 1\nerror: timeout (15000 ms)\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_EXIT, false, "main.c:1: error\n", "compile_error",
		    "process exited with code 1\nerror: compile error\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_OK, false, "no output\n", "compile_error",
		    "process exited with code 1\nerror: compile error\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_TIMEOUT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: timeout (30000 ms)\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_CPU_LIMIT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: cpu limit exceeded (20000 ms)\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_MEMORY_LIMIT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: memory limit exceeded (1073741824 bytes)\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_OUTPUT_LIMIT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: output limit exceeded (2000 bytes)\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_DISK_LIMIT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: disk limit exceeded (268435456 bytes)\nE" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(ends); i++) {
		struct run run = ended(ends[i].verdict, ends[i].verdict == VERDICT_OK ? 0 : 1, 0, "o", "E");
		struct reply reply = { 0 };
		struct json_object *tree, *data, *compile;

		run.compilation = (struct compilation){ .took_place = true,
			.was_cached = ends[i].was_cached,
			.text = { .bytes = (char *)ends[i].text, .size = strlen(ends[i].text) },
			.result = { .verdict = ends[i].compiler, .wall_us = 1234567, .cpu_us = 89 },
			.limits = &compiler_limits };
		forget(NULL);
		reply_run(&reply, &run, &limits);
		tree = body("Status: 200 OK\r\n");
		data = get(tree, "data");
		assert_string_equal(json_object_get_string(get(data, "status")), ends[i].status);
		assert_string_equal(json_object_get_string(get(data, "error")), ends[i].error);
		assert_string_equal(json_object_get_string(get(data, "stdout")), "o");
		compile = get(data, "compile");
		assert_int_equal(json_object_object_length(compile), 4);
		assert_int_equal(json_object_get_boolean(get(compile, "cached")), ends[i].was_cached);
		assert_string_equal(json_object_get_string(get(compile, "wall_ms")), "1234.567");
		assert_string_equal(json_object_get_string(get(compile, "cpu_ms")), "0.089");
		if (strchr(ends[i].text, '\xff') == NULL)
			assert_string_equal(json_object_get_string(get(compile, "output")), ends[i].text);
		else
			assert_string_equal(json_object_get_string(get(compile, "output")),
			    "main.c:1: warning: \"x\" \xef\xbf\xbd\n");
		json_object_put(tree);
	}
}

/* The reply of a language that is not compiled does not mention it. */
static void
test_no_compile(void **state)
{
	struct run run = ended(VERDICT_OK, 0, 0, "", "");
	struct reply reply = { 0 };
	struct json_object *tree, *none;

	(void)state;
	reply_run(&reply, &run, &limits);
	tree = body("Status: 200 OK\r\n");
	assert_false(json_object_object_get_ex(get(tree, "data"), "compile", &none));
	json_object_put(tree);
}

/* More than one block; every byte becomes six in the reply, and stderr appears twice. */
static void
test_long_output(void **state)
{
	char *zeros = calloc(1, 100000);
	struct run run = ended(VERDICT_EXIT, 1, 0, "", "");
	struct reply reply = { 0 };
	struct json_object *tree;

	(void)state;
	assert_non_null(zeros);
	run.out = (struct output){ .bytes = zeros, .size = 100000, .truncated = true };
	run.err = (struct output){ .bytes = zeros, .size = 99999 };
	reply_run(&reply, &run, &limits);
	tree = body("Status: 200 OK\r\n");
	assert_int_equal(json_object_get_string_len(get(get(tree, "data"), "stdout")), 100000);
	assert_int_equal(json_object_get_string_len(get(get(tree, "data"), "stderr")), 99999);
	assert_int_equal(json_object_get_string_len(get(get(tree, "data"), "error")), 99999 + 27);
	assert_true(json_object_get_boolean(get(get(tree, "data"), "truncated")));
	json_object_put(tree);
	free(zeros);
}

static void
test_errors(void **state)
{
	static const struct {
		int status;
		const char *line;
	} lines[] = {
		{ 200, "Status: 200 OK\r\n" },
		{ 400, "Status: 400 Bad Request\r\n" },
		{ 404, "Status: 404 Not Found\r\n" },
		{ 405, "Status: 405 Method Not Allowed\r\n" },
		{ 401, "Status: 401 Unauthorized\r\n" },
		{ 429, "Status: 429 Too Many Requests\r\n" },
		{ 413, "Status: 413 Content Too Large\r\n" },
		{ 500, "Status: 500 Internal Server Error\r\n" },
		{ 503, "Status: 503 Service Unavailable\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(lines); i++) {
		struct http_error error;
		struct reply reply = { 0 };
		struct json_object *tree;

		forget(NULL);
		http_error_set(&error, lines[i].status, "\"quoted\" %s", "\xff\n");
		if (lines[i].status == 429)
			reply_add_header(&reply, "Retry-After: %d", 5);
		reply_add_header(&reply, "X-Long: %0300d", 0); /* left out */
		reply_error(&reply, &error, lines[i].status == 405 ? "Allow: POST\r\n" : NULL);
		assert_int_equal(reply.status, lines[i].status);
		tree = body(lines[i].line);
		assert_int_equal(json_object_get_int(get(tree, "code")), -lines[i].status);
		assert_string_equal(json_object_get_string(get(tree, "message")), "\"quoted\" \xef\xbf\xbd\n");
		assert_null(get(tree, "data"));
		assert_int_equal(strstr(sent, "\r\nRetry-After: 5\r\n") != NULL, lines[i].status == 429);
		assert_int_equal(strstr(sent, "\r\nAllow: POST\r\n") != NULL, lines[i].status == 405);
		json_object_put(tree);
	}
}

/* The longest text, of characters that escape to the longest form. */
static void
test_longest_error(void **state)
{
	struct http_error error;
	struct reply reply = { 0 };
	struct json_object *tree;
	char text[HTTP_ERROR_TEXT_SIZE * 2];

	(void)state;
	memset(text, 1, sizeof text - 1);
	text[sizeof text - 1] = '\0';
	http_error_set(&error, 400, "%s", text);
	reply_error(&reply, &error, NULL);
	tree = body("Status: 400 Bad Request\r\n");
	assert_int_equal(json_object_get_string_len(get(tree, "message")), HTTP_ERROR_TEXT_SIZE - 1);
	json_object_put(tree);
}

static void
test_data(void **state)
{
	struct json_object *data = json_object_new_object(), *tree;
	struct reply reply = { 0 };

	(void)state;
	json_object_object_add(data, "path", json_object_new_string("a/b"));
	reply_data(&reply, data);
	assert_non_null(strstr(sent, "{\"code\":0,\"message\":\"success\",\"data\":{\"path\":\"a/b\"}}"));
	tree = body("Status: 200 OK\r\n");
	json_object_put(tree);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_ok, forget),
		cmocka_unit_test_teardown(test_every_other_end, forget),
		cmocka_unit_test_teardown(test_compile, forget),
		cmocka_unit_test_teardown(test_no_compile, forget),
		cmocka_unit_test_teardown(test_long_output, forget),
		cmocka_unit_test_teardown(test_errors, forget),
		cmocka_unit_test_teardown(test_longest_error, forget),
		cmocka_unit_test_teardown(test_data, forget),
	};

	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
