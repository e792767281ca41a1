/* log_test.c - common/log.c: one line of text an event, and none that waits for a reader. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static int reader;
static int old_stderr;

static int
set_up(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	reader = fds[0];
	old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	assert_true(dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
	close(fds[1]);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	assert_true(dup2(old_stderr, STDERR_FILENO) == STDERR_FILENO);
	close(old_stderr);
	close(reader);
	return 0;
}

/* All that is in the pipe, as a string. */
static const char *
logged(void)
{
	static char text[1 << 20];
	ssize_t n = read(reader, text, sizeof text - 1);

	assert_true(n > 0);
	text[n] = '\0';
	return text;
}

static void
a_line_feed_in_a_text_makes_no_second_line(void **state)
{
	const char *text;

	(void)state;
	log_open("test");
	log_warn("one %s", "two\nthree");
	text = logged();
	assert_non_null(strstr(text, " warning: one two three\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void
a_full_pipe_costs_lines_and_not_time(void **state)
{
	static const char filler[4096];
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	(void)state;
	log_open("test");
	log_never_wait();
	assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK), 0);
	while (write(STDERR_FILENO, filler, sizeof filler) > 0)
		continue;
	assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, flags), 0);
	/* These would wait for ever. */
	for (int i = 0; i < 3; i++)
		log_warn("lost");
	logged();
	log_warn("there is room again");
	assert_non_null(strstr(logged(), "warning: (3 lines before this one are lost) there is room again\n"));
	log_warn("and for more");
	assert_non_null(strstr(logged(), "warning: and for more\n"));
}

/* The last test: there is no way back. */
static void
json_is_one_object_whatever_the_text(void **state)
{
	char text[4000];
	struct json_object *tree;

	(void)state;
	log_as_json();
	for (int i = 0; i < 256; i++) {
		enum json_tokener_error error;
		const char *line;

		memset(text, i != 0 ? i : 'x', sizeof text - 1);
		text[sizeof text - 1] = '\0';
		log_warn("%s", text);
		line = logged();
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		tree = json_tokener_parse_verbose(line, &error);
		assert_int_equal(error, json_tokener_success);
		assert_string_equal(json_object_get_string(json_object_object_get(tree, "level")), "warning");
		assert_string_equal(json_object_get_string(json_object_object_get(tree, "program")), "test");
		assert_true(json_object_get_string_len(json_object_object_get(tree, "message")) > 400);
		json_object_put(tree);
	}
	log_info("%s", "say \"hello\"\\\n");
	tree = json_tokener_parse(logged());
	assert_string_equal(json_object_get_string(json_object_object_get(tree, "message")), "say \"hello\"\\ ");
	json_object_put(tree);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_feed_in_a_text_makes_no_second_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_pipe_costs_lines_and_not_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(json_is_one_object_whatever_the_text, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
