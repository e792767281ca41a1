/* denied_text_test.c - denied system calls in words. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/syscall.h>

#include "denied_text.h"

static const struct denied_calls none;
static const struct denied_calls two = { .call = { { SYS_setns, 3 }, { SYS_socket, 1 } }, .total = 4 };

static void
test_none(void **state)
{
	char json[DENIED_JSON_SIZE], line[DENIED_LINE_SIZE];

	(void)state;
	assert_int_equal(denied_json(&none, NETWORK_NONE, json), 2);
	assert_string_equal(json, "[]");
	denied_line(&none, NETWORK_NONE, line);
	assert_string_equal(line, "");
}

static void
test_names_counts_and_hints(void **state)
{
	char json[DENIED_JSON_SIZE], line[DENIED_LINE_SIZE];
	struct json_object *list, *second;
	size_t length;

	(void)state;
	length = denied_json(&two, NETWORK_NONE, json);
	assert_int_equal(length, strlen(json));
	list = json_tokener_parse(json);
	assert_int_equal(json_object_array_length(list), 2);
	assert_string_equal(json_object_to_json_string_ext(json_object_array_get_idx(list, 0), JSON_C_TO_STRING_PLAIN),
	    "{\"name\":\"setns\",\"count\":3}");
	second = json_object_array_get_idx(list, 1);
	assert_string_equal(json_object_get_string(json_object_object_get(second, "name")), "socket");
	assert_non_null(strstr(json_object_get_string(json_object_object_get(second, "hint")), "enable_network"));
	json_object_put(list);
	denied_line(&two, NETWORK_NONE, line);
	assert_non_null(strstr(line, "error: operation not permitted (setns, socket); enable_network "));
	assert_string_equal(line + strlen(line) - 2, "\\n");

	/* A run that had a network is not advised to ask for one. */
	denied_line(&two, NETWORK_PROXY, line);
	assert_non_null(strstr(line, "(setns, socket); the network of a run "));
	denied_json(&two, NETWORK_HOST, json);
	assert_null(strstr(json, "enable_network"));
}

/* A number without a name is printed signed, as the program gave it. */
static void
test_numbers_without_a_name(void **state)
{
	static const struct denied_calls unknown = {
		.call = { { (uint32_t)-1, 1 }, { (uint32_t)-101, 1 }, { (uint32_t)-10001, 1 }, { 3999, 1 } },
		.total = 4,
	};
	char json[DENIED_JSON_SIZE], line[DENIED_LINE_SIZE];

	(void)state;
	denied_line(&unknown, NETWORK_NONE, line);
	assert_string_equal(line, "error: operation not permitted (-1, -101, -10001, 3999)\\n");
	denied_json(&unknown, NETWORK_NONE, json);
	assert_string_equal(json,
	    "[{\"name\":\"-1\",\"count\":1},{\"name\":\"-101\",\"count\":1},"
	    "{\"name\":\"-10001\",\"count\":1},{\"name\":\"3999\",\"count\":1}]");
}

/*
 * The most calls there can be, with long names and hints, and one without a name: the JSON and the
 * line are complete.
 */
static void
test_as_many_as_there_can_be(void **state)
{
	char json[DENIED_JSON_SIZE], line[DENIED_LINE_SIZE];
	struct denied_calls many = { .total = UINT64_MAX };
	struct json_object *list;

	(void)state;
	for (int i = 0; i < DENIED_CALLS; i++)
		many.call[i] = (struct denied_call){ i == 0 ? 3999 : SYS_execve, UINT32_MAX };
	assert_true(denied_json(&many, NETWORK_NONE, json) < sizeof json - 1);
	list = json_tokener_parse(json);
	assert_int_equal(json_object_array_length(list), DENIED_CALLS);
	assert_string_equal(json_object_get_string(json_object_object_get(json_object_array_get_idx(list, 0), "name")), "3999");
	json_object_put(list);
	denied_line(&many, NETWORK_NONE, line);
	assert_true(strlen(line) < sizeof line - 1);
	assert_string_equal(line + strlen(line) - 2, "\\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_names_counts_and_hints),
		cmocka_unit_test(test_numbers_without_a_name),
		cmocka_unit_test(test_as_many_as_there_can_be),
	};

	return cmocka_run_group_tests_name("denied_text", tests, NULL, NULL);
}
