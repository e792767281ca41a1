/*
 * request_test.c - the body of POST /v1/sandbox/run: the values that are read, and the errors and
 * their messages. Limits, packages, tests and files have a request_*_test.c each.
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
#include "request_body.h"
#include "request_config.h"

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
		"{" MINIMAL ",}", "{" MINIMAL " ,\n }", "{" MINIMAL ",\"args\":[\"a\",]}", "{'language':'python3'}",
		"{\"language\":'python3',\"code\":\"x\"}", "/**/{" MINIMAL "}", "{/**/" MINIMAL "}", "{" MINIMAL "//\n}",
		"\xef\xbb\xbf{}", "{" MINIMAL ",\"enable_network\":TRUE}", "{\"language\":\"python3\",\"code\":\"x\" \"env\":1}",
		"{\"language\":\"python3\",\"code\":\"\\x\"}" };

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
	EXPECT_CODE("{" MINIMAL "} and 'more' // [1,]", "x");
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
		cmocka_unit_test(test_env_names),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_warm_set),
		cmocka_unit_test(test_damaged_bodies),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
