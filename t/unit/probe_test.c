/* probe_test.c - finds the version in the output of a program. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "start/probe.h"
#include "proto.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static char error[256];

/* Probe a shell that runs `script`. */
static int
ask(const char *script, char *version)
{
	char *words[] = { (char *)"/bin/sh", (char *)"-c", (char *)script };
	struct strings command = { .item = words, .count = LENGTH(words) };

	error[0] = version[0] = '\0';
	return probe_version(&command, (uid_t)-1, version, error, sizeof error);
}

static void
test_versions(void **state)
{
	static const char *const said[][2] = {
		{ "GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)", "5.2.15" },
		{ "v5.36.0", "5.36.0" },
		{ "ruby 3.1.2p20 (2022-04-12 revision 4fbb8d6c2b) [x86_64-linux-gnu]", "3.1.2" },
		{ "PHP 8.2.36 (cli) (built: Jun 1 2024 10:00:00) (NTS)", "8.2.36" },
		{ "Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio", "5.4.4" },
		{ "3.40.1 2022-12-28 14:03:47 df5c253c", "3.40.1" },
		{ "mawk 1.3.4 20200120", "1.3.4" },
		{ "javac 17", "17" },
		{ "x86_64 compiler of 2 stages, version 9.3.", "9.3" },
		{ "version 7.", "7" },
		{ "no. 12 of 30", "12" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(said); i++) {
		char script[256], version[PROTO_NAME_SIZE];

		snprintf(script, sizeof script, "echo '%s'", said[i][0]);
		assert_int_equal(ask(script, version), 0);
		assert_string_equal(version, said[i][1]);
	}
}

static void
test_where_it_is_said(void **state)
{
	char version[PROTO_NAME_SIZE];

	(void)state;
	assert_int_equal(ask("echo 1.2 >&2", version), 0);
	assert_string_equal(version, "1.2");
	/* A program that prints more than is read runs to its end. */
	assert_int_equal(
	    ask("echo 1.2; i=0; while [ $i -lt 3000 ]; do echo a line that nobody has a use for at all; i=$((i + 1)); "
	        "done",
	        version),
	    0);
	assert_string_equal(version, "1.2");
	assert_int_equal(ask("echo 1.23456789012345678901234567890123456789", version), 0);
	assert_int_equal(strlen(version), PROTO_NAME_SIZE - 1);
}

static void
test_no_version(void **state)
{
	char version[PROTO_NAME_SIZE];

	(void)state;
	assert_int_equal(ask("echo 'no number'; echo 'at all'", version), -1);
	assert_string_equal(error, "/bin/sh does not print its version: no number");
	assert_int_equal(ask("echo 'failed 1.2'; exit 1", version), -1);
	assert_string_equal(error, "/bin/sh does not print its version: failed 1.2");
	assert_int_equal(ask("kill -9 $$", version), -1);
	assert_string_equal(error, "/bin/sh does not print its version: ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_where_it_is_said),
		cmocka_unit_test(test_no_version),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
