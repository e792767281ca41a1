/* request_limits_test.c - the limits of a request. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "request_body.h"
#include "request_limits.h"

static void
test_limits(void **state)
{
	static const char *const values[] = { "0", "-0", "-1", "0.0", "0.5", "1.5", "120001", "1e99", "1e400", "-1e400",
		"9223372036854775807", "9223372036854775808", "18446744073709551616", "99999999999999999999999999", "NaN", "-NaN",
		"Infinity", "-Infinity", "true", "false", "\"1\"", "\"\"", "[]", "[1]", "{}" };

	(void)state;
	for (size_t i = 0; i < LENGTH(values); i++) {
		char body[128];

		snprintf(body, sizeof body, "{" MINIMAL ",\"limits\":{\"wall_ms\":%s}}", values[i]);
		assert_int_equal(parse(body), -1);
		assert_int_equal(error.status, 400);
		/* json-c itself rejects text that it does not take for a number. */
		if (strncmp(error.text, "body: ", 6) != 0)
			assert_string_equal(error.text, "limits.wall_ms: must be an integer from 1 to 120000 (2 min)");
	}
	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		char body[128], text[128];

		snprintf(body, sizeof body, "{" MINIMAL ",\"limits\":{\"%s\":0}}", request_limits[i].name);
		snprintf(text, sizeof text, "limits.%s: must be an integer from %d to ", request_limits[i].name,
		    (int)request_limits[i].least);
		refuse_body(body, text);
		snprintf(body, sizeof body, "{" MINIMAL ",\"limits\":{\"%s\":%d}}", request_limits[i].name,
		    (int)(request_limits[i].least + i));
		accept_body(body);
		for (size_t j = 0; j < REQUEST_LIMITS; j++) {
			/* Processes change the threads: test_threads. */
			if (strcmp(request_limits[i].name, "processes") == 0 && strcmp(request_limits[j].name, "threads") == 0)
				continue;
			assert_int_equal(request_limit_of(&request_limits[j], &request.limits),
			    j == i ? request_limits[i].least + i : request_limit_of(&request_limits[j], &python.limits.default_));
		}
		request_free(&request);
	}
}

/* A name that is no limit is refused, with the limit that may be meant. */
static void
test_unknown_limits(void **state)
{
	static const struct {
		const char *name, *nearest;
	} names[] = { { "memory_mb", "memory_bytes" }, { "memory", "memory_bytes" }, { "MEMORY_BYTES", "memory_bytes" },
		{ "wall_time", "wall_ms" }, { "cpu", "cpu_ms" }, { "cpums", "cpu_ms" }, { "process", "processes" },
		{ "thread", "threads" }, { "openfiles", "open_files" }, { "stack", "stack_bytes" }, { "timeout", NULL },
		{ "", NULL }, { "x", NULL } };
	char body[4096], text[128];

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++) {
		snprintf(body, sizeof body, "{" MINIMAL ",\"limits\":{\"wall_ms\":1,\"%s\":1}}", names[i].name);
		snprintf(text, sizeof text, "limits.%s: there is no such limit%s%s", names[i].name,
		    names[i].nearest != NULL ? "; do you mean " : "; there are wall_ms, cpu_ms,",
		    names[i].nearest != NULL ? names[i].nearest : "");
		refuse_body(body, text);
		assert_non_null(strstr(error.text, "disk_bytes"));
	}
	refuse_body("{" MINIMAL ",\"limits\":{\"memory_mb\":null}}",
	    "limits.memory_mb: there is no such limit; do you mean memory_bytes?");
	memset(body, 'm', sizeof body);
	memcpy(body, "{" MINIMAL ",\"limits\":{\"", strlen("{" MINIMAL ",\"limits\":{\""));
	memcpy(body + sizeof body - 6, "\":1}}", 6);
	assert_int_equal(request_parse(&config, body, sizeof body - 1, &request, &error), -1);
	assert_memory_equal(error.text, "limits.mmmm", 11);
}

/*
 * A run that asks for processes is held to them, threads included, unless it asks for threads too.
 */
static void
test_threads(void **state)
{
	static const struct {
		const char *limits;
		uint64_t processes, threads;
	} cases[] = {
		{ "{}", 1, 20 },
		{ "null", 1, 20 },
		{ "{\"threads\":5}", 1, 5 },
		{ "{\"processes\":1}", 1, 20 },
		{ "{\"processes\":4}", 4, 0 },
		{ "{\"processes\":4,\"threads\":null}", 4, 0 },
		{ "{\"processes\":4,\"threads\":6}", 4, 6 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char body[128];

		snprintf(body, sizeof body, "{" MINIMAL ",\"limits\":%s}", cases[i].limits);
		accept_body(body);
		assert_int_equal(request.limits.processes, cases[i].processes);
		assert_int_equal(request.limits.threads, cases[i].threads);
		assert_true(run_limits_within(&request.limits, &request.maximum));
		request_free(&request);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_unknown_limits),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("request_limits", tests, NULL, NULL);
}
