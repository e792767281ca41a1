/*
 * config_files.h - for the tests of the configuration: a main file and a language's, in a directory
 * of the test's own.
 */
#ifndef CELLBLOCK_CONFIG_FILES_H
#define CELLBLOCK_CONFIG_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "config_load.h"

#define UNUSED __attribute__((unused)) /* not every test uses all of these */
#define NAME_FORM "up to 31 letters, digits and ._+#-, the first a letter or digit"

/* A text that is an error, and the message after the file's name. */
struct bad_file {
	const char *text, *rest;
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define LANGUAGE \
	"name = \"python3\";\naliases = [\"python\"];\nmain_file = \"main.py\";\ndriver = \"python3\";\n" \
	"interpreter = \"/usr/bin/python3\";\npolicy = \"python3\";\n"
#define WARM "warm = ( { name = \"base\"; } );\n"

static char directory[] = "/tmp/config_test.XXXXXX";
static char language_directory[sizeof directory + 16];
static char main_path[sizeof directory + 32], language_path[sizeof directory + 32], other_path[sizeof directory + 32];
static char error[512];

static UNUSED void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
}

static UNUSED int
make_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(language_directory, sizeof language_directory, "%s/languages", directory);
	assert_int_equal(mkdir(language_directory, 0700), 0);
	snprintf(main_path, sizeof main_path, "%s/cellblock.conf", directory);
	snprintf(language_path, sizeof language_path, "%s/languages/python3.conf", directory);
	snprintf(other_path, sizeof other_path, "%s/languages/another.conf", directory);
	return 0;
}

static UNUSED int
remove_folder(void **state)
{
	(void)state;
	unlink(main_path);
	unlink(language_path);
	unlink(other_path);
	rmdir(language_directory);
	return rmdir(directory);
}

static UNUSED struct config *
load(const char *main_text, const char *language_text)
{
	write_file(main_path, main_text);
	write_file(language_path, language_text);
	error[0] = '\0';
	return config_load(main_path, error, sizeof error);
}

static UNUSED struct config *
must_load(const char *main_text, const char *language_text)
{
	struct config *config = load(main_text, language_text);

	if (config == NULL)
		fail_msg("refused: %s", error);
	return config;
}

/* Check that loading fails with exactly one line: PATH, then `rest` (":LINE: ..."). */
static UNUSED void
assert_refused(const char *main_text, const char *language_text, const char *path, const char *rest)
{
	struct config *config = load(main_text, language_text);
	char expected[512];

	if (config != NULL)
		fail_msg("taken, and not refused with \"%s\"", rest);
	snprintf(expected, sizeof expected, "%s%s", path, rest);
	assert_string_equal(error, expected);
	assert_null(strchr(error, '\n'));
}

static UNUSED void
refuse_main(const char *text, const char *rest)
{
	assert_refused(text, LANGUAGE WARM, main_path, rest);
}

static UNUSED void
refuse_language(const char *text, const char *rest)
{
	assert_refused("", text, language_path, rest);
}

#endif
