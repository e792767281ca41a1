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
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
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

static uint64_t now_us;
static unsigned polls;

/* These take the place of common/clock.c and of libc: a wait takes no time. */
uint64_t
clock_us(void)
{
	return now_us;
}

int
poll(struct pollfd *fds, nfds_t count, int ms)
{
	const struct timespec none = { 0 };

	int ready = ppoll(fds, count, &none, NULL);

	polls++;
	if (ready == 0)
		now_us += (uint64_t)ms * 1000;
	return ready;
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

static const struct config config = { .network = NETWORK_NONE };
static const struct run_request request = {
	.limits = { .wall_ms = 15000,
	    .cpu_ms = 10000,
	    .memory_bytes = 268435456,
	    .processes = 4,
	    .output_bytes = 1000,
	    .disk_bytes = 67108864,
	    .inodes = 5000 },
	.maximum = { .processes = 8 },
};

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
	reply_run(&reply, &run, &config, &request);
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
	assert_false(json_object_object_get_ex(usage, "stall_ms", NULL));
	json_object_put(tree);
}

/* A run that met its wall limit, and had waited for a processor: for too long, or not. */
static void
test_stall(void **state)
{
	(void)state;
	for (uint32_t was_starved = 0; was_starved < 2; was_starved++) {
		struct run run = ended(VERDICT_TIMEOUT, -1, 9, "", "");
		struct reply reply = { 0 };
		struct json_object *tree, *data;

		run.result.stall_us = 3000005;
		run.result.was_starved = was_starved;
		reply_run(&reply, &run, &config, &request);
		tree = body("Status: 200 OK\r\n");
		data = get(tree, "data");
		assert_string_equal(json_object_get_string(get(get(data, "usage"), "stall_ms")), "3000.005");
		assert_string_equal(json_object_get_string(get(data, "fault")), was_starved ? "service" : "limit");
		json_object_put(tree);
		forget(state);
	}
}

/* Where the kernel cannot tell. */
static void
test_unknown_peak(void **state)
{
	struct run run = ended(VERDICT_OK, 0, 0, "", "");
	struct reply reply = { 0 };
	struct json_object *tree;

	(void)state;
	run.result.processes_peak = 0;
	reply_run(&reply, &run, &config, &request);
	tree = body("Status: 200 OK\r\n");
	assert_null(get(get(get(tree, "data"), "usage"), "processes_peak"));
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
		    "process exited with code -1\nerror: timeout (15000 ms), which is 15 s\nE" },
		{ VERDICT_CPU_LIMIT, -1, SIGKILL, "SIGKILL", "cpu_limit",
		    "process exited with code -1\nerror: cpu limit exceeded (10000 ms), which is 10 s\nE" },
		{ VERDICT_MEMORY_LIMIT, -1, SIGKILL, "SIGKILL", "memory_limit",
		    "process exited with code -1\nerror: memory limit exceeded (268435456 bytes), which is 256 MiB\nE" },
		{ VERDICT_OUTPUT_LIMIT, -1, SIGKILL, "SIGKILL", "output_limit",
		    "process exited with code -1\nerror: output limit exceeded (1000 bytes)\nE" },
		{ VERDICT_PROCESS_LIMIT, 1, 0, NULL, "process_limit",
		    "process exited with code 1\nerror: process limit exceeded (4); each thread counts, unless limits.threads asks for more\nE" },
		{ VERDICT_DISK_LIMIT, 1, 0, NULL, "disk_limit",
		    "process exited with code 1\nerror: disk limit exceeded (67108864 bytes), which is 64 MiB\nE" },
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
		reply_run(&reply, &run, &config, &request);
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
	static const struct run_limits compiler_limits = { 30000, 20000, 1 << 30, 64, 2000, 1 << 28, 0, 64, 16, 1 << 20 };
	static const struct {
		enum verdict verdict, compiler;
		bool was_cached;
		const char *text, *status, *error;
	} ends[] = {
		{ VERDICT_OK, VERDICT_OK, false, "", "ok", "" },
		{ VERDICT_OK, VERDICT_OK, true, "", "ok", "" },
		{ VERDICT_OK, VERDICT_OK, false, "main.c:1: warning: \"x\" \xff\n", "ok", "" },
		{ VERDICT_TIMEOUT, VERDICT_OK, false, "", "timeout",
		    "process exited with code 1\nerror: timeout (15000 ms), which is 15 s\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_EXIT, false, "main.c:1: error\n", "compile_error",
		    "process exited with code 1\nerror: compile error\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_OK, false, "no output\n", "compile_error",
		    "process exited with code 1\nerror: compile error\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_TIMEOUT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: timeout (30000 ms), which is 30 s\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_CPU_LIMIT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: cpu limit exceeded (20000 ms), which is 20 s\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_MEMORY_LIMIT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: memory limit exceeded (1073741824 bytes), which is 1 GiB\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_OUTPUT_LIMIT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: output limit exceeded (2000 bytes), which is 2.0 KiB\nE" },
		{ VERDICT_COMPILE_ERROR, VERDICT_DISK_LIMIT, false, "", "compile_error",
		    "process exited with code 1\nerror: compile error: disk limit exceeded (268435456 bytes), which is 256 MiB\nE" },
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
		reply_run(&reply, &run, &config, &request);
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
	reply_run(&reply, &run, &config, &request);
	tree = body("Status: 200 OK\r\n");
	assert_false(json_object_object_get_ex(get(tree, "data"), "compile", &none));
	json_object_put(tree);
}

/* More than one block; every byte becomes six in the reply. */
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
	reply_run(&reply, &run, &config, &request);
	tree = body("Status: 200 OK\r\n");
	assert_int_equal(json_object_get_string_len(get(get(tree, "data"), "stdout")), 100000);
	assert_int_equal(json_object_get_string_len(get(get(tree, "data"), "stderr")), 99999);
	/* `error` has the two ends of stderr. */
	assert_int_equal(json_object_get_string_len(get(get(tree, "data"), "error")),
	    4096 + 12288 + 27 + (int)strlen("\n[83615 bytes of stderr are left out here]\n"));
	assert_true(json_object_get_boolean(get(get(tree, "data"), "truncated")));
	json_object_put(tree);
	free(zeros);
}

/* stderr that fits is whole in `error`; of more, whole lines and characters are left out. */
static void
test_the_ends_of_stderr(void **state)
{
	static const struct {
		const char *line; /* of which stderr consists */
		size_t count;
		const char *left_out;
	} cases[] = {
		{ "0123456789abcde\n", 1024, NULL },
		{ "0123456789abcde\n", 1025, "\n[32 bytes of stderr are left out here]\n" },
		{ "\xe2\x82\xac", 10000, "\n[13617 bytes of stderr are left out here]\n" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		size_t length = strlen(cases[i].line);
		char *err = malloc(length * cases[i].count + 1);
		struct run run = ended(VERDICT_EXIT, 1, 0, "", "");
		struct reply reply = { 0 };
		struct json_object *tree;
		const char *error;

		assert_non_null(err);
		for (size_t line = 0; line < cases[i].count; line++)
			memcpy(err + line * length, cases[i].line, length + 1);
		run.err = (struct output){ .bytes = err, .size = length * cases[i].count };
		forget(NULL);
		reply_run(&reply, &run, &config, &request);
		tree = body("Status: 200 OK\r\n");
		assert_string_equal(json_object_get_string(get(get(tree, "data"), "stderr")), err);
		error = json_object_get_string(get(get(tree, "data"), "error"));
		assert_null(strstr(error, "\xef\xbf\xbd"));
		assert_memory_equal(error + strlen(error) - length, cases[i].line, length);
		if (cases[i].left_out == NULL)
			assert_string_equal(error + strlen("process exited with code 1\n"), err);
		else
			assert_non_null(strstr(error, cases[i].left_out));
		json_object_put(tree);
		free(err);
	}
}

/* The limit that was met, and its value, are there for programs too. */
static void
test_the_limit_by_name(void **state)
{
	static const struct {
		enum verdict verdict;
		uint64_t processes;
		bool inodes;
		const char *name, *says;
		int64_t value;
	} cases[] = {
		{ VERDICT_PROCESS_LIMIT, 1, false, "threads", "error: thread limit exceeded (77)\n", 77 },
		{ VERDICT_PROCESS_LIMIT, 9, false, "processes", "error: limit of processes and threads exceeded (", 9 },
		{ VERDICT_DISK_LIMIT, 1, true, "inodes", "error: limit of files and directories exceeded (5000)\n", 5000 },
		{ VERDICT_TIMEOUT, 1, false, "wall_ms", "error: timeout (15000 ms), which is 15 s\n", 15000 },
		{ VERDICT_EXIT, 1, false, NULL, "process exited with code 1\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct run run = ended(cases[i].verdict, 1, 0, "", "");
		struct run_request asked = request;
		struct reply reply = { 0 };
		struct json_object *tree, *data, *limit;

		asked.limits.processes = cases[i].processes;
		asked.limits.threads = 77;
		run.result.inodes_full = cases[i].inodes;
		forget(NULL);
		reply_run(&reply, &run, &config, &asked);
		tree = body("Status: 200 OK\r\n");
		data = get(tree, "data");
		assert_non_null(strstr(json_object_get_string(get(data, "error")), cases[i].says));
		assert_int_equal(json_object_object_get_ex(data, "limit", &limit), cases[i].name != NULL);
		if (cases[i].name != NULL) {
			assert_string_equal(json_object_get_string(get(limit, "name")), cases[i].name);
			assert_int_equal(json_object_get_int64(get(limit, "value")), cases[i].value);
		}
		json_object_put(tree);
	}
}

/* Header lines are whole, or not there. */
static void
test_headers(void **state)
{
	struct reply reply = { 0 };
	char long_value[REPLY_HEADER_SIZE];

	(void)state;
	memset(long_value, 'x', sizeof long_value - 1);
	long_value[sizeof long_value - 1] = '\0';
	reply_add_header(&reply, "X-One: %d", 1);
	reply_add_header(&reply, "X-Long: %s", long_value);
	reply_add_header(&reply, "X-Two: %d", 2);
	reply_send(&reply, 200, "Allow: GET\r\n", "1", 1);
	assert_non_null(strstr(sent, "\r\nX-One: 1\r\nX-Two: 2\r\nAllow: GET\r\n\r\n1"));
}

/* A reply that nobody takes is cut after a while, and one that somebody takes is not. */
static void
test_a_reader_that_stands_still(void **state)
{
	char *zeros = calloc(1, 200000);
	struct run run = ended(VERDICT_EXIT, 1, 0, "", "");
	int pair[2];

	(void)state;
	assert_non_null(zeros);
	run.out = (struct output){ .bytes = zeros, .size = 200000 };
	for (int stands_still = 0; stands_still < 2; stands_still++) {
		struct reply reply = { 0 };
		size_t filled = 0;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		while (stands_still && write(pair[0], zeros, 4096) > 0)
			filled++;
		reply.fd = pair[0];
		forget(NULL);
		now_us = 1000000;
		reply_run(&reply, &run, &config, &request);
		assert_int_equal(reply.is_cut, stands_still);
		assert_int_equal(polls > 0, 1);
		if (stands_still)
			assert_true(sent_size < 100000 && send(pair[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
		close(pair[0]);
		close(pair[1]);
	}
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
		reply_add_header(&reply, "X-Long: %02000d", 0); /* left out */
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
		cmocka_unit_test_teardown(test_stall, forget),
		cmocka_unit_test_teardown(test_unknown_peak, forget),
		cmocka_unit_test_teardown(test_every_other_end, forget),
		cmocka_unit_test_teardown(test_compile, forget),
		cmocka_unit_test_teardown(test_no_compile, forget),
		cmocka_unit_test_teardown(test_long_output, forget),
		cmocka_unit_test_teardown(test_the_ends_of_stderr, forget),
		cmocka_unit_test_teardown(test_the_limit_by_name, forget),
		cmocka_unit_test_teardown(test_headers, forget),
		cmocka_unit_test_teardown(test_a_reader_that_stands_still, forget),
		cmocka_unit_test_teardown(test_errors, forget),
		cmocka_unit_test_teardown(test_longest_error, forget),
		cmocka_unit_test_teardown(test_data, forget),
	};

	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
