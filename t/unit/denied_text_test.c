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

#define EPERM_TEXT "PermissionError: [Errno 1] Operation not permitted\n"

static const struct denied_context alone = {
	.has_network = true, .key_has_network = true, .processes = 1, .maximum_processes = 9
};
static const struct denied_context proxied = { .network = NETWORK_PROXY, .has_network = true, .processes = 1 };
static const struct denied_context host = { .network = NETWORK_HOST, .has_network = true, .processes = 1 };

static const struct denied_calls none;
static const struct denied_calls two = { .call = { { SYS_setns, 3 }, { SYS_socket, 1 } }, .total = 4 };

static void
test_none(void **state)
{
	char json[DENIED_JSON_SIZE], line[DENIED_LINE_SIZE];

	(void)state;
	assert_int_equal(denied_json(&none, &alone, json), 2);
	assert_string_equal(json, "[]");
	denied_line(&none, &alone, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_string_equal(line, "");
}

static void
test_names_counts_and_hints(void **state)
{
	char json[DENIED_JSON_SIZE], line[DENIED_LINE_SIZE];
	struct json_object *list, *second;
	size_t length;

	(void)state;
	length = denied_json(&two, &alone, json);
	assert_int_equal(length, strlen(json));
	list = json_tokener_parse(json);
	assert_int_equal(json_object_array_length(list), 2);
	assert_string_equal(json_object_to_json_string_ext(json_object_array_get_idx(list, 0), JSON_C_TO_STRING_PLAIN),
	    "{\"name\":\"setns\",\"count\":3}");
	second = json_object_array_get_idx(list, 1);
	assert_string_equal(json_object_get_string(json_object_object_get(second, "name")), "socket");
	assert_non_null(strstr(json_object_get_string(json_object_object_get(second, "hint")), "enable_network"));
	json_object_put(list);
	denied_line(&two, &alone, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_string_equal(line, "error: operation not permitted (socket); enable_network asks for a network\\n");
	assert_string_equal(line + strlen(line) - 2, "\\n");

	/* A run that had a network is not advised to ask for one. */
	denied_line(&two, &proxied, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_non_null(strstr(line, "(socket); the network of a run "));
	denied_json(&two, &host, json);
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
	denied_line(&unknown, &alone, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_string_equal(line, "error: operation not permitted (3999)\\n");
	denied_json(&unknown, &alone, json);
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
	assert_true(denied_json(&many, &alone, json) < sizeof json - 1);
	list = json_tokener_parse(json);
	assert_int_equal(json_object_array_length(list), DENIED_CALLS);
	assert_string_equal(json_object_get_string(json_object_object_get(json_object_array_get_idx(list, 0), "name")), "3999");
	json_object_put(list);
	denied_line(&many, &alone, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_true(strlen(line) < sizeof line - 1);
	assert_string_equal(line + strlen(line) - 2, "\\n");
}

/* A call is named in `error` only if stderr complains about such a call. */
static void
test_blame(void **state)
{
	static const struct {
		const char *err;
		const char *line;
	} cases[] = {
		/* A program that was told to be silent: curl -s. */
		{ "", "(socket); enable_network" },
		{ "curl: (7) Failed to connect to 192.0.2.1 port 80: Couldn't connect to server\n", "(socket); enable_network" },
		{ "ValueError: bad column\n", "" },
		{ "no FilePermissions here, PERMIT, whatEPERMit\n", "" },
		{ "mknod: Operation not permitted", "(socket)" },
		{ "Error: spawn ls EPERM\n", "(socket)" },
		{ "PERMISSIONERROR\n", "(socket)" },
		{ "Exception: Unix.Unix_error(Unix.EPERM, \"socket\", \"\").", "(socket)" },
		{ "OSError: [Errno 97] Address family not supported by protocol\n", "(socket); enable_network" },
		{ "java.net.SocketException: Permission denied\n", "(socket); enable_network" },
		/* Only the last words count. */
		{ "chown: Operation not permitted\na\nb\nc\nwrong input\n", "" },
		{ "a\nb\nmake: echo: Operation not permitted\nmake: *** [Makefile:3: greet] Error 127\n", "(socket)" },
		{ "chown: Operation not permitted\nTraceback (most recent call last):\n  File \"x\"\nKeyError: 'prize'\n", "" },
		{ "Traceback (most recent call last):\n  File \"x\"\nPermissionError: 1\n\n"
		  "During handling of the above exception, another exception occurred:\n\n"
		  "Traceback (most recent call last):\n  a\n  b\n  c\n  d\nRuntimeError: no\n",
		    "(socket)" },
		{ "Traceback (most recent call last):\nPermissionError: 1\nwent on\n"
		  "Traceback (most recent call last):\n  a\nRuntimeError: no\n",
		    "" },
		{ "node:internal/fs/watchers:255\n    throw error;\n    ^\n\nError: EPERM: not permitted\n    at a\n    at b {\n"
		  "  errno: -1\n}\n\nNode.js v18\n",
		    "(socket)" },
		{ "panic: operation not permitted\n\ngoroutine 1 [running]:\nmain.f()\n\t/box/main.go:5\nmain.g()\nmain.h()\n"
		  "main.main()\nexit status 2\n",
		    "(socket)" },
		{ "<urlopen error [Errno -3] Temporary failure in name resolution>\n", "(socket); enable_network" },
		{ "getaddrinfo EAI_AGAIN example.org\n", "(socket); enable_network" },
		{ "sh: 1: Cannot fork\n", "" },
	};
	char line[DENIED_LINE_SIZE];
	static char long_text[100000];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		denied_line(&two, &alone, cases[i].err, strlen(cases[i].err), line);
		if (cases[i].line[0] == '\0')
			assert_string_equal(line, "");
		else if (strstr(line, cases[i].line) == NULL)
			fail_msg("%s: \"%s\"", cases[i].err, line);
	}
	/* A long text is searched at its end. */
	memset(long_text, 'x', sizeof long_text);
	denied_line(&two, &alone, long_text, sizeof long_text, line);
	assert_string_equal(line, "");
	memcpy(long_text + sizeof long_text - sizeof " EPERM", " EPERM ", sizeof " EPERM");
	denied_line(&two, &alone, long_text, sizeof long_text, line);
	assert_non_null(strstr(line, "socket"));
	memset(long_text, 'x', sizeof long_text);
	memcpy(long_text, " EPERM ", sizeof " EPERM");
	denied_line(&two, &alone, long_text, sizeof long_text, line);
	assert_string_equal(line, "");
}

/* Words about any call are about the last one that was denied, and about others of the same use. */
static void
test_blame_the_last(void **state)
{
	static const struct denied_calls other = { .call = { { SYS_execve, 1 }, { SYS_setns, 3 } }, .total = 4 };
	static const struct denied_calls processes = { .call = { { SYS_setns, 1 }, { SYS_execve, 3 }, { SYS_clone, 1 } },
		.total = 5 };
	char line[DENIED_LINE_SIZE];

	(void)state;
	denied_line(&other, &alone, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_string_equal(line, "error: operation not permitted (setns)\\n");
	denied_line(&processes, &alone, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_non_null(strstr(line, "(execve, clone); limits.processes"));
	denied_line(&other, &alone, "sh: Cannot fork\n", strlen("sh: Cannot fork\n"), line);
	assert_non_null(strstr(line, "(execve); limits.processes"));
}

/* Runtimes have a debugger look at them when they crash. */
static void
test_crash(void **state)
{
	static const struct denied_calls calls = { .call = { { SYS_socket, 1 }, { SYS_ptrace, 1 } }, .total = 2 };
	struct denied_context context = { .by_signal = true };
	char line[DENIED_LINE_SIZE];

	(void)state;
	denied_line(&calls, &context, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_string_equal(line, "");
	denied_line(&calls, &context, "", 0, line);
	assert_string_equal(line, "");
	context.by_signal = false;
	denied_line(&calls, &context, EPERM_TEXT, strlen(EPERM_TEXT), line);
	assert_string_equal(line, "error: operation not permitted (ptrace)\\n");
	denied_line(&calls, &context, "", 0, line);
	assert_string_equal(line, "");
}

/* No hint advises what this server would refuse. */
static void
test_hints_that_help(void **state)
{
	static const struct denied_calls fork = { .call = { { SYS_clone, 1 } }, .total = 1 };
	static const struct denied_calls socket = { .call = { { SYS_socket, 1 } }, .total = 1 };
	static const struct {
		const struct denied_calls *denied;
		struct denied_context context;
		const char *hint;
	} cases[] = {
		{ &fork, { .processes = 1, .maximum_processes = 128 }, "limits.processes, from 2 to 128, lets" },
		{ &fork, { .processes = 1, .maximum_processes = 1 }, "this server lets a program start no other" },
		{ &fork, { .processes = 4, .maximum_processes = 128 }, NULL },
		{ &socket, { .has_network = false }, "no network is configured on this server" },
		{ &socket, { .has_network = false, .wants_network = true }, "no network is configured on this server" },
		{ &socket, { .has_network = true, .key_has_network = true }, "enable_network asks for a network" },
		{ &socket, { .has_network = true }, "the key of this request has no network" },
		{ &socket, { .has_network = true, .wants_network = true }, "the key of this request has no network" },
		{ &socket, { .has_network = true, .wants_network = true, .network = NETWORK_PROXY }, "TCP only" },
		{ &socket, { .has_loopback = true }, "no network is configured on this server; network: loopback asks" },
		{ &socket, { .has_network = true, .key_has_network = true, .has_loopback = true },
		    "enable_network asks for a network; network: loopback" },
		{ &socket, { .has_network = true, .has_loopback = true }, "has no network; network: loopback" },
		{ &socket, { .has_network = true, .wants_network = true, .has_loopback = true },
		    "has no network; network: loopback" },
		{ &socket, { .has_loopback = true, .network = NETWORK_LOOPBACK }, "this run has a loopback alone" },
	};
	char json[DENIED_JSON_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		denied_json(cases[i].denied, &cases[i].context, json);
		if (cases[i].hint == NULL)
			assert_null(strstr(json, "hint"));
		else if (strstr(json, cases[i].hint) == NULL)
			fail_msg("%zu: %s", i, json);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_names_counts_and_hints),
		cmocka_unit_test(test_numbers_without_a_name),
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_blame_the_last),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_hints_that_help),
		cmocka_unit_test(test_as_many_as_there_can_be),
	};

	return cmocka_run_group_tests_name("denied_text", tests, NULL, NULL);
}
