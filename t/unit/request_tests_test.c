/* request_tests_test.c - the tests of a request: what is read of them, and what is refused. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "request_body.h"
#include "request_tests.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tests),
		cmocka_unit_test(test_number_of_tests),
		cmocka_unit_test(test_bad_tests),
	};

	return cmocka_run_group_tests_name("request_tests", tests, NULL, NULL);
}
