/* probe_test.c - the version in the output of a program; why one cannot be asked. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "start/probe.h"
#include "proto.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static char error[512];

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
	assert_string_equal(error, "/bin/sh does not print its version: it exited with code 1: failed 1.2");
	assert_int_equal(ask("kill -9 $$", version), -1);
	assert_string_equal(error, "/bin/sh does not print its version: it was killed by signal 9");
	assert_int_equal(ask("exit 7", version), -1);
	assert_string_equal(error, "/bin/sh does not print its version: it exited with code 7");
	assert_int_equal(ask(":", version), -1);
	assert_string_equal(error, "/bin/sh does not print its version: it prints nothing");
}

/* Make an executable file with `text`. */
static void
write_program(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

/*
 * The message of a program that cannot be executed names the reason: a file, or a directory above
 * it.
 */
static void
test_cannot_be_executed(void **state)
{
	char directory[] = "/tmp/probe_test.XXXXXX", program[64], closed[40], link[64], version[PROTO_NAME_SIZE], expected[256];
	char *words[] = { program };
	struct strings command = { .item = words, .count = 1 };
	uid_t uid = geteuid() == 0 ? 2000000 : (uid_t)-1, shown = geteuid() == 0 ? 2000000 : getuid();

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chmod(directory, 0755), 0);
	snprintf(closed, sizeof closed, "%s/closed", directory);
	snprintf(program, sizeof program, "%s/program", closed);
	snprintf(link, sizeof link, "%s/link", directory);
	assert_int_equal(mkdir(closed, 0755), 0);

	assert_int_equal(probe_version(&command, uid, version, error, sizeof error), -1);
	snprintf(expected, sizeof expected, "cannot execute %s as uid %u: No such file or directory", program, (unsigned)shown);
	assert_string_equal(error, expected);

	write_program(program, "#!/nowhere/sh\n");
	assert_int_equal(probe_version(&command, uid, version, error, sizeof error), -1);
	snprintf(expected, sizeof expected,
	    "cannot execute %s as uid %u: No such file or directory: the file is there, but not the program or loader that it names",
	    program, (unsigned)shown);
	assert_string_equal(error, expected);

	write_program(program, "#!/bin/sh\necho 1.2\n");
	assert_int_equal(probe_version(&command, uid, version, error, sizeof error), 0);
	assert_int_equal(chmod(program, 0644), 0);
	assert_int_equal(probe_version(&command, uid, version, error, sizeof error), -1);
	snprintf(expected, sizeof expected,
	    "cannot execute %s as uid %u: Permission denied: %s has the mode 0644 and belongs to uid %u", program,
	    (unsigned)shown, program, (unsigned)geteuid());
	assert_string_equal(error, expected);

	/* Through a link that everyone can read. */
	assert_int_equal(chmod(program, 0755), 0);
	assert_int_equal(symlink(program, link), 0);
	words[0] = link;
	assert_int_equal(chmod(closed, 0600), 0);
	assert_int_equal(probe_version(&command, uid, version, error, sizeof error), -1);
	snprintf(expected, sizeof expected, "cannot execute %s as uid %u: Permission denied: ", link, (unsigned)shown);
	assert_int_equal(strncmp(error, expected, strlen(expected)), 0);
	assert_int_equal(chmod(closed, 0700), 0);

	assert_int_equal(unlink(link) | unlink(program) | rmdir(closed) | rmdir(directory), 0);
}

/* A program that does not understand the driver's script: one line, with its own first words. */
static void
test_not_an_interpreter(void **state)
{
	static const char *const args[] = { "-s", NULL };
	char script[] = "/tmp/probe_test.XXXXXX", version[PROTO_NAME_SIZE], expected[256];
	struct rootfs fs = { 0 };
	int fd = mkstemp(script);

	(void)state;
	assert_true(fd >= 0);
	write_program(script, "echo first >&2; echo second >&2; exit 3\n");
	assert_int_equal(probe_interpreter("/bin/sh", args, script, (uid_t)-1, &fs, version, error, sizeof error), -1);
	snprintf(expected, sizeof expected, "/bin/sh is no interpreter for this driver: running %s, it exited with code 3: first",
	    strrchr(script, '/') + 1);
	assert_string_equal(error, expected);
	write_program(script, "printf 'Traceback\\n  File\\nError: the last\\n' >&2\n");
	assert_int_equal(probe_interpreter("/bin/sh", args, script, (uid_t)-1, &fs, version, error, sizeof error), -1);
	snprintf(expected, sizeof expected,
	    "/bin/sh is no interpreter for this driver: running %s, it does not say its version: Error: the last",
	    strrchr(script, '/') + 1);
	assert_string_equal(error, expected);
	write_program(script, "echo noise >&2; echo version 1.2\n");
	assert_int_equal(probe_interpreter("/bin/sh", args, script, (uid_t)-1, &fs, version, error, sizeof error), 0);
	assert_string_equal(version, "1.2");
	close(fd);
	unlink(script);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_where_it_is_said),
		cmocka_unit_test(test_no_version),
		cmocka_unit_test(test_cannot_be_executed),
		cmocka_unit_test(test_not_an_interpreter),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
