/*
 * access_log_test.c - the line of a request: one object of JSON, in one write, whatever is in it.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "access_log.h"

static struct access_log
small(void)
{
	return (struct access_log){ .request_id = "r1",
		.key_name = "alice",
		.route = "/v1/sandbox/run",
		.outcome = "ok",
		.traceparent = "",
		.status = 200,
		.spent_us = 2746,
		.bytes_out = 347 };
}

static struct json_object *
parse(const struct access_log *log)
{
	char line[ACCESS_LOG_LINE_BYTES];
	size_t size = access_log_format(log, line);
	enum json_tokener_error error;
	struct json_object *tree;

	assert_true(size < sizeof line);
	assert_ptr_equal(memchr(line, '\n', size), line + size - 1);
	line[size - 1] = '\0';
	tree = json_tokener_parse_verbose(line, &error);
	assert_int_equal(error, json_tokener_success);
	return tree;
}

static const char *
get(struct json_object *tree, const char *name)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(tree, name, &value) ? json_object_get_string(value) : NULL;
}

static void
test_without_a_run(void **state)
{
	struct access_log log = small();
	struct json_object *tree = parse(&log);

	(void)state;
	assert_int_equal(strlen(get(tree, "time")), strlen("2026-11-27T03:41:30.049Z"));
	assert_string_equal(get(tree, "request"), "r1");
	assert_string_equal(get(tree, "key"), "alice");
	assert_string_equal(get(tree, "route"), "/v1/sandbox/run");
	assert_string_equal(get(tree, "http"), "200");
	assert_string_equal(get(tree, "outcome"), "ok");
	assert_string_equal(get(tree, "ms"), "2.746");
	assert_string_equal(get(tree, "bytes_out"), "347");
	assert_null(get(tree, "language"));
	assert_null(get(tree, "status"));
	assert_null(get(tree, "traceparent"));
	json_object_put(tree);
}

static void
test_with_a_run(void **state)
{
	struct run_request request = { .code = { "abc", 3 } };
	struct run run = { .result = { .verdict = VERDICT_MEMORY_LIMIT,
		               .exit_code = -1,
		               .signal = 9,
		               .wall_us = 12034,
		               .cpu_us = 7,
		               .queue_us = 1000,
		               .spawn_us = 999999,
		               .stall_us = 2001,
		               .memory_peak_bytes = 5000000000,
		               .denied = { .total = 3 } } };
	struct access_log log = small();
	struct json_object *tree;

	(void)state;
	log.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	access_log_request(&log, "python3", &request, 4711);
	access_log_result(&log, &run);
	tree = parse(&log);
	assert_string_equal(get(tree, "language"), "python3");
	assert_string_equal(get(tree, "bytes_in"), "4711");
	assert_string_equal(get(tree, "code_sha256"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(get(tree, "status"), "memory_limit");
	assert_string_equal(get(tree, "exit_code"), "-1");
	assert_string_equal(get(tree, "signal"), "9");
	assert_string_equal(get(tree, "queue_ms"), "1.000");
	assert_string_equal(get(tree, "spawn_ms"), "999.999");
	assert_string_equal(get(tree, "wall_ms"), "12.034");
	assert_string_equal(get(tree, "cpu_ms"), "0.007");
	assert_string_equal(get(tree, "stall_ms"), "2.001");
	assert_string_equal(get(tree, "memory_peak_bytes"), "5000000000");
	assert_string_equal(get(tree, "denied"), "3");
	assert_string_equal(get(tree, "traceparent"), log.traceparent);
	assert_null(get(tree, "compile_cached"));
	json_object_put(tree);

	run.compilation = (struct compilation){ .took_place = true, .was_cached = true, .result = { .wall_us = 5, .cpu_us = 6 } };
	access_log_result(&log, &run);
	tree = parse(&log);
	assert_string_equal(get(tree, "compile_cached"), "true");
	assert_string_equal(get(tree, "compile_wall_ms"), "0.005");
	assert_string_equal(get(tree, "compile_cpu_ms"), "0.006");
	json_object_put(tree);
}

/* Texts from outside are escaped and cut, and make no second line. */
static void
test_hostile_texts(void **state)
{
	char text[4000];
	struct run_request request = { .code = { "", 0 } };
	struct run run = { .result = { .verdict = UINT32_MAX,
		               .exit_code = INT32_MIN,
		               .signal = INT32_MIN,
		               .wall_us = UINT64_MAX,
		               .cpu_us = UINT64_MAX,
		               .queue_us = UINT64_MAX,
		               .spawn_us = UINT64_MAX,
		               .stall_us = UINT64_MAX,
		               .memory_peak_bytes = UINT64_MAX,
		               .denied = { .total = UINT64_MAX } },
		.compilation = { .took_place = true, .result = { .wall_us = UINT64_MAX, .cpu_us = UINT64_MAX } } };
	struct access_log log = small();
	static const char fillers[] = { '"', '\n', 1, '\\', (char)0xff };

	(void)state;
	for (size_t i = 0; i < sizeof fillers; i++) {
		memset(text, fillers[i], sizeof text - 1);
		text[sizeof text - 1] = '\0';
		log.request_id = log.key_name = log.route = log.outcome = log.traceparent = text;
		log.bytes_out = SIZE_MAX;
		log.spent_us = UINT64_MAX;
		access_log_request(&log, text, &request, SIZE_MAX);
		access_log_result(&log, &run);
		json_object_put(parse(&log));
	}
}

/* In one write(2): a reader of the pipe finds the whole line, and nothing else. */
static void
test_write(void **state)
{
	int fds[2], old = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	struct access_log log = small();
	char line[ACCESS_LOG_LINE_BYTES];
	ssize_t n;

	(void)state;
	/* A packet of this pipe is one write. */
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_DIRECT), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	access_log_write(&log);
	assert_true(dup2(old, STDERR_FILENO) >= 0);
	n = read(fds[0], line, sizeof line);
	assert_true(n > 2 && line[0] == '{' && line[n - 2] == '}' && line[n - 1] == '\n');
	close(fds[0]);
	close(fds[1]);
	close(old);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_run),
		cmocka_unit_test(test_with_a_run),
		cmocka_unit_test(test_hostile_texts),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests_name("access_log", tests, NULL, NULL);
}
