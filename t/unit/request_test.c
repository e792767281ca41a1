/*
 * request_test.c - the body of POST /v1/sandbox/run: the values that are read, and the errors and
 * their messages.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"
#include "request_config.h"
#include "request_tests.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MINIMAL "\"language\":\"python3\",\"code\":\"x\""

static struct run_request request;
static struct http_error error;

static int
parse(const char *body)
{
	memset(&error, 0, sizeof error);
	return request_parse(&config, body, strlen(body), &request, &error);
}

/* Parse a valid body. The caller calls request_free. */
static void
accept_body(const char *body)
{
	if (parse(body) != 0)
		fail_msg("%s: %s", body, error.text);
}

static void
refuse_body(const char *body, const char *text)
{
	if (parse(body) == 0)
		fail_msg("%s: was accepted", body);
	if (strncmp(error.text, text, strlen(text)) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", body, error.text, text);
	assert_int_equal(error.status, 400);
	assert_int_equal(error.code, -400);
}

static void
test_minimal(void **state)
{
	(void)state;
	accept_body("{" MINIMAL "}");
	assert_int_equal(request.language, 1);
	assert_int_equal(request.code.size, 1);
	assert_memory_equal(request.code.bytes, "x", 1);
	assert_int_equal(request.preload.size, 0);
	assert_int_equal(request.input.size, 0);
	assert_int_equal(request.args.count, 0);
	assert_int_equal(request.env.count, 0);
	assert_int_equal(request.warm, 0);
	assert_false(request.network);
	assert_memory_equal(&request.limits, &python.limits.default_, sizeof request.limits);
	request_free(&request);
	request_free(&request);
}

static void
test_everything(void **state)
{
	static const char args[] = "one\0\0"
	                           "caf\xc3\xa9";
	static const char env[] = "A_1=x=y\0_b=";

	(void)state;
	accept_body(
	    " {\"language\":\"py\",\"code\":\"a\\u0000b\",\"preload\":\"p\",\"stdin\":\"in\\u0000\",\"args\":[\"one\",\"\","
	    "\"caf\xc3\xa9\"],\"env\":{\"A_1\":\"x=y\",\"_b\":\"\"},\"limits\":{\"wall_ms\":120000,\"cpu_ms\":1,"
	    "\"processes\":8.0,\"disk_bytes\":18446744073709551615,\"threads\":7,\"open_files\":64,\"inodes\":16,\"stack_bytes\":1048576},\"files\":[],\"tests\":null,"
	    "\"dependencies\":[{\"name\":\"x\"}],\"unknown\":{}}\r\n\t ");
	assert_int_equal(request.language, 1);
	assert_int_equal(request.code.size, 3);
	assert_memory_equal(request.code.bytes, "a\0b", 3);
	assert_int_equal(request.preload.size, 1);
	assert_int_equal(request.input.size, 3);
	assert_int_equal(request.args.count, 3);
	assert_int_equal(request.args.size, sizeof args);
	assert_memory_equal(request.args.bytes, args, sizeof args);
	assert_int_equal(request.env.count, 2);
	assert_int_equal(request.env.size, sizeof env);
	assert_memory_equal(request.env.bytes, env, sizeof env);
	assert_int_equal(request.limits.wall_ms, 120000);
	assert_int_equal(request.limits.cpu_ms, 1);
	assert_int_equal(request.limits.memory_bytes, 1 << 28);
	assert_int_equal(request.limits.processes, 8);
	assert_true(request.limits.disk_bytes == UINT64_MAX);
	assert_int_equal(request.limits.threads, 7);
	assert_int_equal(request.limits.open_files, 64);
	assert_int_equal(request.limits.inodes, 16);
	assert_int_equal(request.limits.stack_bytes, 1 << 20);
	assert_memory_equal(&request.maximum, &python.limits.maximum, sizeof request.maximum);
	request_free(&request);
}

static void
test_null_is_missing(void **state)
{
	(void)state;
	accept_body("{" MINIMAL ",\"preload\":null,\"stdin\":null,\"args\":null,\"env\":null,\"limits\":null,"
	            "\"enable_network\":null,\"files\":null,\"collect\":null}");
	request_free(&request);
	accept_body("{" MINIMAL ",\"limits\":{\"wall_ms\":null}}");
	assert_int_equal(request.limits.wall_ms, 15000);
	request_free(&request);
	refuse_body("{\"language\":null,\"code\":\"x\"}", "language: is required");
	refuse_body("{\"language\":\"python3\",\"code\":null}", "code: is required");
}

static void
test_bodies_that_are_no_json_object(void **state)
{
	static const char *const bodies[] = { "", " ", "{", "null", "nul", "1", "-", "\"x\"", "[]", "NaN", "{" MINIMAL,
		"{" MINIMAL ",}", "{'language':'python3'}", "/**/{" MINIMAL "}", "\xef\xbb\xbf{}",
		"{\"language\":\"python3\",\"code\":\"x\" \"env\":1}", "{\"language\":\"python3\",\"code\":\"\\x\"}" };

	(void)state;
	for (size_t i = 0; i < LENGTH(bodies); i++)
		refuse_body(bodies[i], "body: must be ");
	refuse_body("print(1)", "body: must be a JSON object: ");
}

static void
expect_code(const char *body, size_t size, const char *code)
{
	if (request_parse(&config, body, size, &request, &error) != 0)
		fail_msg("%s: %s", body, error.text);
	assert_int_equal(request.code.size, strlen(code));
	assert_memory_equal(request.code.bytes, code, strlen(code));
	request_free(&request);
}

#define EXPECT_CODE(body, code) expect_code(body, sizeof(body) - 1, code)

/* Bodies that the server of dify-sandbox takes, too. */
static void
test_lenience(void **state)
{
	(void)state;
	EXPECT_CODE("{" MINIMAL "} and more", "x");
	EXPECT_CODE("{" MINIMAL "}\0\xff", "x");
	EXPECT_CODE("{" MINIMAL "}}", "x");
	EXPECT_CODE("{" MINIMAL "}{\"code\":\"y\"}", "x");
	EXPECT_CODE("{\"Language\":\"python3\",\"CODE\":\"x\"}", "x");
	/* The exact name counts, wherever it is. */
	EXPECT_CODE("{\"Code\":\"y\",\"language\":\"python3\",\"code\":\"x\",\"CODE\":\"z\"}", "x");
	refuse_body("{" MINIMAL ",\"LIMITS\":{\"WALL_MS\":1}}", "limits.WALL_MS: there is no such limit; do you mean wall_ms?");
	/* Each maximal part that is ill-formed is one U+FFFD; json-c would take the last two. */
	EXPECT_CODE("{\"language\":\"python3\",\"code\":\"a\xff\xe2\x82z\"}", "a\xef\xbf\xbd\xef\xbf\xbdz");
	EXPECT_CODE("{\"language\":\"python3\",\"code\":\"\xed\xa0\x80\"}", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	EXPECT_CODE("{\"language\":\"python3\",\"code\":\"\xf4\x90\x80\x80\"}",
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void
test_forms(void **state)
{
	(void)state;
	EXPECT_CODE("language=python3&code=print%28%221%2b1%22%29+%23+%c3%a9&unknown=1&x", "print(\"1+1\") # \xc3\xa9");
	EXPECT_CODE("code=%&language=python3", "%");
	EXPECT_CODE("code=%4&language=python3", "%4");
	EXPECT_CODE("code=%zz=1&language=python3", "%zz=1");
	EXPECT_CODE("code=%ff&Language=python3", "\xef\xbf\xbd");
	EXPECT_CODE("--b\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\npython3\r\n--b\r\n"
	            "Content-Disposition: form-data; filename=\"language\"; name=\"code\"\r\nContent-Type: text/plain\r\n\r\n"
	            "a\r\n--c\r\nb\r\n--b--\r\n",
	    "a\r\n--c\r\nb");
	accept_body("language=python3&code=x&enable_network=true&preload=p&stdin=i");
	assert_true(request.wants_network);
	assert_int_equal(request.preload.size, 1);
	assert_int_equal(request.input.size, 1);
	request_free(&request);
	accept_body("language=python3&code=x&enable_network=0");
	assert_false(request.wants_network);
	request_free(&request);
	refuse_body("language=python3&code=x&enable_network=maybe", "enable_network: must be true or false");
	refuse_body("language=python3", "code: is required");
	refuse_body("x=1", "language: is required");
	/* A part without an end, without a header, without a name. */
	refuse_body("--b\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\nx", "body: must be a JSON object");
	refuse_body("--b\r\nx\r\n--b--", "body: must be a JSON object");
	refuse_body("--b\r\nX: y\r\n\r\nx\r\n--b--", "language: is required");
	refuse_body("--b", "body: must be a JSON object");
	refuse_body("--\r\n", "body: must be a JSON object");
}

static void
test_preload_can_be_ignored(void **state)
{
	(void)state;
	config.preload = PRELOAD_IGNORE;
	accept_body("{" MINIMAL ",\"preload\":\"import jinja2\"}");
	assert_int_equal(request.preload.size, 0);
	assert_int_equal(request.warm, 0);
	request_free(&request);
	refuse_body("{" MINIMAL ",\"preload\":3}", "preload: must be a string");
	config.preload = PRELOAD_RUN;
}

/* Small to send, large to parse. */
static void
test_bodies_that_grow(void **state)
{
	static const char *const pieces[] = { "[", "{\"a\":", "[],", "{},", "1," };

	/* 16384, and 16 for each of the 50 tests that there may be. */
	(void)state;
	for (size_t i = 0; i < LENGTH(pieces); i++) {
		size_t length = strlen(pieces[i]);
		char *body = malloc(100000 * length + 8);

		assert_non_null(body);
		memcpy(body, "{\"a\":[", 6);
		for (size_t j = 0; j < 100000; j++)
			memcpy(body + 6 + j * length, pieces[i], length);
		body[6 + 100000 * length] = '\0';
		refuse_body(body, "body: must not contain more than 17184 values");
		free(body);
	}
	refuse_body("{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "body: must be a JSON object: nesting too deep");
	/* Inside a string they are plain text. */
	{
		char *body = malloc(200100);
		int at = sprintf(body, "{\"language\":\"python3\",\"code\":\"");

		for (int i = 0; i < 100000; i++)
			at += sprintf(body + at, "%s", i % 2 == 0 ? ",[" : "\\\"");
		sprintf(body + at, "\"}");
		accept_body(body);
		assert_int_equal(request.code.size, 150000);
		request_free(&request);
		free(body);
	}
}

static void
test_language(void **state)
{
	(void)state;
	refuse_body("{\"code\":\"x\"}", "language: is required");
	refuse_body("{\"language\":\"\",\"code\":\"x\"}", "language: must not be empty");
	refuse_body("{\"language\":3,\"code\":\"x\"}", "language: must be a string");
	refuse_body("{\"language\":\"cobol\",\"code\":\"x\"}", "unsupported language \"cobol\"");
	assert_true(error.lists_languages);
	accept_body("{\"language\":\"PYthon3\",\"code\":\"x\"}");
	assert_int_equal(request.language, 1);
	request_free(&request);
	refuse_body("{\"language\":\"python3\\u0000\",\"code\":\"x\"}", "unsupported language");
	accept_body("{\"language\":\"c\",\"code\":\"x\"}");
	assert_int_equal(request.language, 0);
	assert_int_equal(request.limits.wall_ms, 1);
	request_free(&request);
}

static void
test_wrong_types(void **state)
{
	static const char *const texts[] = { "code", "preload", "stdin" };
	static const char *const values[] = { "1", "true", "[]", "{}" };

	(void)state;
	for (size_t i = 0; i < LENGTH(texts); i++) {
		for (size_t j = 0; j < LENGTH(values); j++) {
			char body[128], text[64];

			snprintf(body, sizeof body, "{" MINIMAL ",\"%s\":%s}", texts[i], values[j]);
			snprintf(text, sizeof text, "%s: must be a string", texts[i]);
			refuse_body(body, text);
		}
	}
	refuse_body("{\"language\":\"python3\"}", "code: is required and must not be empty");
	refuse_body("{\"language\":\"python3\",\"code\":\"\"}", "code: is required and must not be empty");
	refuse_body("{" MINIMAL ",\"args\":\"a\"}", "args: must be a list of strings");
	refuse_body("{" MINIMAL ",\"args\":[\"a\",1]}", "args[1]: must be a string");
	refuse_body("{" MINIMAL ",\"args\":[null]}", "args[0]: must be a string");
	refuse_body("{" MINIMAL ",\"args\":[\"a\\u0000b\"]}", "args[0]: must not contain a NUL character");
	refuse_body("{" MINIMAL ",\"env\":[]}", "env: must be an object of strings");
	refuse_body("{" MINIMAL ",\"env\":{\"A\":1}}", "env.A: must be a string");
	refuse_body("{" MINIMAL ",\"env\":{\"A\":null}}", "env.A: must be a string");
	refuse_body("{" MINIMAL ",\"env\":{\"A\":\"\\u0000\"}}", "env.A: must not contain a NUL character");
	refuse_body("{" MINIMAL ",\"limits\":1}", "limits: must be an object");
	refuse_body("{" MINIMAL ",\"limits\":[]}", "limits: must be an object");
	refuse_body("{" MINIMAL ",\"enable_network\":1}", "enable_network: must be true or false");
	refuse_body("{" MINIMAL ",\"enable_network\":\"true\"}", "enable_network: must be true or false");
}

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

static void
test_env_names(void **state)
{
	static const char *const bad[] = { "", "1A", "A-B", "A B", "A=B", "caf\xc3\xa9", "A." };
	static const char *const refused[] = { "LD_PRELOAD", "LD_", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHON", "NODE_OPTIONS",
		"GLIBC_TUNABLES", "BASH_ENV", "ENV", "PERL5LIB", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "GCONV_PATH",
		"MALLOC_ARENA_MAX" };
	static const char *const good[] = { "A", "_", "a1", "LD", "PATH", "HOME", "ENVIRONMENT", "MY_LD_PRELOAD", "ld_preload" };

	(void)state;
	for (size_t i = 0; i < LENGTH(bad) + LENGTH(refused) + LENGTH(good); i++) {
		char body[128], text[128];
		const char *name = i < LENGTH(bad)    ? bad[i] :
		    i < LENGTH(bad) + LENGTH(refused) ? refused[i - LENGTH(bad)] :
		                                        good[i - LENGTH(bad) - LENGTH(refused)];

		snprintf(body, sizeof body, "{" MINIMAL ",\"env\":{\"%s\":\"v\"}}", name);
		if (i < LENGTH(bad)) {
			snprintf(text, sizeof text, "env: \"%s\" is not a valid name", name);
			refuse_body(body, text);
		} else if (i < LENGTH(bad) + LENGTH(refused)) {
			snprintf(text, sizeof text, "env.%s: must not be set", name);
			refuse_body(body, text);
		} else {
			accept_body(body);
			request_free(&request);
		}
	}
}

#define STRICT MINIMAL ",\"strict\":true"

static void
test_dependencies(void **state)
{
	static const char needs[] = "numpy\0\0"
	                            "ruamel.yaml_x\0"
	                            "0.17.21+b1\0"
	                            "a\0";

	(void)state;
	accept_body("{" STRICT ",\"dependencies\":[\"numpy\",{\"name\":\"ruamel.yaml_x\",\"version\":\"0.17.21+b1\",\"x\":1},"
	            "{\"name\":\"a\",\"version\":\"\"}]}");
	assert_int_equal(request.needs.count, 6);
	assert_int_equal(request.needs.size, sizeof needs);
	assert_memory_equal(request.needs.bytes, needs, sizeof needs);
	request_free(&request);
	accept_body("{" STRICT ",\"dependencies\":[]}");
	assert_int_equal(request.needs.count, 0);
	request_free(&request);
}

/* dify-sandbox ignores the field, so only who asks for more gets it. */
static void
test_dependencies_of_old_clients(void **state)
{
	static const char *const values[] = { "3", "\"numpy\"", "{}", "[3]", "[\"../x\"]", "[{\"version\":1}]", "[\"numpy\"]" };
	static const char *const stricts[] = { "", ",\"strict\":false", ",\"strict\":null" };
	char body[128];

	(void)state;
	for (size_t i = 0; i < LENGTH(values); i++) {
		for (size_t j = 0; j < LENGTH(stricts); j++) {
			snprintf(body, sizeof body, "{" MINIMAL "%s,\"dependencies\":%s}", stricts[j], values[i]);
			accept_body(body);
			assert_int_equal(request.needs.count, 0);
			request_free(&request);
		}
	}
	accept_body("{" MINIMAL ",\"strict\":3}");
	request_free(&request);
}

static void
test_bad_dependencies(void **state)
{
	static const struct {
		const char *value, *text;
	} cases[] = { { "3", "dependencies: must be a list of packages" }, { "{}", "dependencies: must be a list of packages" },
		{ "[\"a\",3]", "dependencies[1]: must be a name, or an object with a name and a version" },
		{ "[null]", "dependencies[0]: must be a name, or an object" },
		{ "[[]]", "dependencies[0]: must be a name, or an object" },
		{ "[\"\"]", "dependencies[0]: must be the name of a package" },
		{ "[\"a==1\"]", "dependencies[0]: must be the name of a package; a version is a member of" },
		{ "[\"../a\"]", "dependencies[0]: must be the name of a package" },
		{ "[\"@a/b\"]", "dependencies[0]: must be the name of a package" },
		{ "[\"a\\u0000b\"]", "dependencies[0]: must be the name of a package" },
		{ "[{}]", "dependencies[0].name: must be the name of a package" },
		{ "[{\"name\":3}]", "dependencies[0].name: must be the name of a package" },
		{ "[{\"name\":\"a\",\"version\":3}]", "dependencies[0].version: must be one version" },
		{ "[{\"name\":\"a\",\"version\":\">=1\"}]", "dependencies[0].version: must be one version" } };
	char body[256];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(body, sizeof body, "{" STRICT ",\"dependencies\":%s}", cases[i].value);
		refuse_body(body, cases[i].text);
	}
	refuse_body("{" MINIMAL ",\"strict\":\"yes\",\"dependencies\":[]}", "strict: must be true or false");
	refuse_body("{\"language\":\"c\",\"code\":\"x\",\"strict\":true,\"dependencies\":[\"a\"]}",
	    "dependencies: c has no packages; none can be required");
	accept_body("{\"language\":\"c\",\"code\":\"x\",\"strict\":true,\"dependencies\":[]}");
	request_free(&request);
	/* npm's names may have a scope, and lead nowhere else either. */
	python.packages = PACKAGES_NPM;
	accept_body("{" STRICT ",\"dependencies\":[\"@types/node\",\"left-pad\"]}");
	assert_int_equal(request.needs.count, 4);
	request_free(&request);
	refuse_body("{" STRICT ",\"dependencies\":[\"@types/../x\"]}", "dependencies[0]: must be");
	refuse_body("{" STRICT ",\"dependencies\":[\"@../x\"]}", "dependencies[0]: must be");
	refuse_body("{" STRICT ",\"dependencies\":[\"@a/..\"]}", "dependencies[0]: must be");
	refuse_body("{" STRICT ",\"dependencies\":[\"a/b\"]}", "dependencies[0]: must be");
	python.packages = PACKAGES_PIP;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

#define TESTS "{" MINIMAL ",\"stdin\":\"in\",\"args\":[\"a\"],"

static void
test_tests(void **state)
{
	const struct test_case *test;
	struct run_request part;

	(void)state;
	accept_body(
	    TESTS "\"checker\":\"tokens\",\"tests\":[{},{\"id\":\"two\",\"stdin\":\"\",\"args\":[],\"limits\":{\"wall_ms\":7},"
	          "\"expected\":{\"stdout\":\"x\",\"exit_code\":3,\"files\":{\"o\":\"p\"}},\"weight\":2.5,"
	          "\"checker\":{\"type\":\"floats\",\"relative\":0.25}},{\"id\":12,\"expected\":\"y\"}]}");
	assert_non_null(request.tests);
	assert_int_equal(request.tests->count, 3);
	assert_false(request.tests->stops);
	test = request.tests->test;
	assert_null(test[0].id.bytes);
	assert_false(test[0].has_answer);
	assert_int_equal(test[0].checker.kind, CHECKER_TOKENS);
	assert_true(test[0].weight == 1);
	request_tests_run(&request, &test[0], &part);
	assert_memory_equal(part.input.bytes, "in", 2);
	assert_int_equal(part.args.count, 1);
	assert_int_equal(part.limits.wall_ms, 15000);
	request_free(&part); /* takes nothing of the request's */
	assert_string_equal(test[1].id.bytes, "two");
	assert_true(test[1].is_id_text);
	assert_int_equal(test[1].exit_code, 3);
	assert_int_equal(test[1].checker.kind, CHECKER_FLOATS);
	assert_true(test[1].checker.absolute == 0 && test[1].checker.relative == 0.25);
	assert_true(test[1].weight == 2.5);
	request_tests_run(&request, &test[1], &part);
	assert_int_equal(part.input.size, 0);
	assert_int_equal(part.args.count, 0);
	assert_int_equal(part.limits.wall_ms, 7);
	assert_int_equal(part.collect.count, 1);
	assert_string_equal(part.collect.bytes, "o");
	assert_string_equal(test[2].id.bytes, "12");
	assert_false(test[2].is_id_text);
	assert_string_equal(test[2].answer.bytes, "y");
	request_free(&request);
	accept_body("{" MINIMAL ",\"tests\":[]}");
	assert_null(request.tests);
	request_free(&request);
}

static void
test_number_of_tests(void **state)
{
	char body[4096] = "{" MINIMAL ",\"tests\":[{}";

	(void)state;
	for (size_t i = 1; i < 50; i++)
		strcat(body, ",{}");
	strcat(body, "]}");
	accept_body(body);
	request_free(&request);
	body[strlen(body) - 2] = '\0';
	strcat(body, ",{}]}");
	refuse_body(body, "tests: must not be more than 50");
	config.tests_most = 0;
	refuse_body("{" MINIMAL ",\"tests\":[{}]}", "tests: ");
	config.tests_most = 50;
}

static void
test_bad_tests(void **state)
{
	static const char *const bad[][2] = {
		{ "{}", "tests: must be a list of objects" },
		{ "[[]]", "tests[0]: must be an object" },
		{ "[{},{\"args\":1}]", "tests[1].args: must be a list of strings" },
		{ "[{\"env\":{\"LD_X\":\"\"}}]", "tests[0].env.LD_X: must not be set" },
		{ "[{\"weight\":\"1\"}]", "tests[0].weight: must be a number" },
		{ "[{\"weight\":-0.5}]", "tests[0].weight: must be a number" },
		{ "[{\"weight\":NaN}]", "tests[0].weight: must be a number" },
		{ "[{\"expected\":3}]", "tests[0].expected: must be an object or a string" },
		{ "[{\"expected\":{\"stdout\":3}}]", "tests[0].expected.stdout: must be a string" },
		{ "[{\"expected\":{\"exit_code\":-1}}]", "tests[0].expected.exit_code: must be an integer from 0" },
		{ "[{\"expected\":{\"files\":{\"a*\":\"\"}}}]", "tests[0].expected.files: a path" },
		{ "[{\"checker\":3}]", "tests[0].checker: must be exact" },
		{ "[{\"checker\":{\"type\":\"exact\",\"x\":1}}]", "tests[0].checker.x: there is no such field" },
		{ "[{\"checker\":\"regex\",\"expected\":\"a**\"}]", "tests[0].expected.stdout: has two repetitions" },
		{ "[{\"checker\":{\"language\":\"py\",\"code\":\"x\",\"stdin\":\"y\"}}]",
		    "tests[0].checker: must have neither args nor" },
		{ "[{\"checker\":{\"language\":\"py\",\"code\":\"x\",\"network\":\"loopback\"}}]", "tests[0].checker.network" },
		{ "[{\"checker\":{\"language\":\"py\",\"code\":\"x\",\"files\":{\"output.txt\":\"\"}}}]",
		    "tests[0].checker.files: output.txt" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		char body[512];

		snprintf(body, sizeof body, "{" MINIMAL ",\"tests\":%s}", bad[i][0]);
		refuse_body(body, bad[i][1]);
	}
}

static void
test_network(void **state)
{
	(void)state;
	accept_body("{" MINIMAL ",\"enable_network\":true}");
	assert_false(request.network);
	request_free(&request);

	config.network_strict = true;
	accept_body("{" MINIMAL ",\"enable_network\":false}");
	request_free(&request);
	assert_int_equal(parse("{" MINIMAL ",\"enable_network\":true}"), -1);
	assert_int_equal(error.status, 200);
	assert_int_equal(error.code, -400);

	/* A loopback is more than a network that is not there, and less than one that is. */
	refuse_body("{" MINIMAL ",\"network\":\"loopback\"}", "network: this server offers no \"loopback\"");
	config.loopback = true;
	accept_body("{" MINIMAL ",\"network\":\"loopback\",\"enable_network\":true}");
	assert_true(request.loopback && !request.network && !request.wants_network);
	request_free(&request);
	accept_body("{" MINIMAL ",\"network\":null}");
	assert_false(request.loopback);
	request_free(&request);
	refuse_body("{" MINIMAL ",\"network\":\"proxy\"}", "network: must be \"loopback\" or null");
	refuse_body("{" MINIMAL ",\"network\":true}", "network: must be \"loopback\" or null");
	config.level = LEVEL_CHROOT;
	refuse_body("{" MINIMAL ",\"network\":\"loopback\"}", "network: this server offers no \"loopback\"");
	config.level = LEVEL_NAMESPACES;
	config.loopback = false;

	config.network = NETWORK_PROXY;
	accept_body("{" MINIMAL ",\"enable_network\":true}");
	assert_true(request.network);
	request_free(&request);
	accept_body("{" MINIMAL ",\"enable_network\":false}");
	assert_false(request.network);
	request_free(&request);
	config.network = NETWORK_NONE;
	config.network_strict = false;
}

static void
test_warm_set(void **state)
{
	static const struct {
		const char *code, *preload;
		uint32_t set;
	} programs[] = {
		{ "print(1)", "", 0 },
		{ "import jinja2", "", 1 },
		{ "from jinja2.sandbox import x", "", 1 },
		{ "x", "import markupsafe", 1 },
		{ "import jinja2, numpy", "", 2 },
		{ "numpy", "jinja2", 2 },
		{ "numpy_like", "", 0 },
		{ "notnumpy", "", 0 },
		{ "numpynumpy numpy", "", 2 },
		{ "nump", "y", 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(programs); i++) {
		char body[256];

		snprintf(body, sizeof body, "{\"language\":\"python3\",\"code\":\"%s\",\"preload\":\"%s\"}", programs[i].code,
		    programs[i].preload);
		accept_body(body);
		assert_int_equal(request.warm, programs[i].set);
		request_free(&request);
	}
}

/* Every truncated body, and every body with one byte changed, is parsed or rejected. */
static void
test_damaged_bodies(void **state)
{
	static const char
	    whole[] = "{\"language\":\"py\",\"code\":\"a\\u0000\\ud83d\\ude00b\",\"args\":[\"\xc3\xa9\",\"\"],\"env\":"
	              "{\"A\":\"b\"},\"limits\":{\"wall_ms\":1e2},\"files\":[]}";

	(void)state;
	for (size_t i = 0; i < sizeof whole - 1; i++) {
		/* The buffer has the exact size, so that a sanitizer detects a read past it. */
		char *body = malloc(i + 1);

		assert_non_null(body);
		memcpy(body, whole, i);
		assert_int_equal(request_parse(&config, body, i, &request, &error), -1);
		free(body);
	}
	for (size_t i = 0; i < sizeof whole - 1; i++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			char body[sizeof whole];

			memcpy(body, whole, sizeof whole);
			body[i] = (char)byte;
			if (request_parse(&config, body, sizeof whole - 1, &request, &error) == 0)
				request_free(&request);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_null_is_missing),
		cmocka_unit_test(test_bodies_that_are_no_json_object),
		cmocka_unit_test(test_lenience),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_preload_can_be_ignored),
		cmocka_unit_test(test_bodies_that_grow),
		cmocka_unit_test(test_language),
		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_unknown_limits),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_env_names),
		cmocka_unit_test(test_dependencies),
		cmocka_unit_test(test_dependencies_of_old_clients),
		cmocka_unit_test(test_bad_dependencies),
		cmocka_unit_test(test_tests),
		cmocka_unit_test(test_number_of_tests),
		cmocka_unit_test(test_bad_tests),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_warm_set),
		cmocka_unit_test(test_damaged_bodies),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
