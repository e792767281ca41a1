/* test_cases.c - see test_cases.h. */
#define _GNU_SOURCE
#include "test_cases.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "exit_codes.h"
#include "say.h"

static const char *const answer_ends[] = { ".out", ".ans" };
#define ANSWER_ENDS (sizeof answer_ends / sizeof answer_ends[0])

/* Whether a name ends so, and has something before it. */
static bool
ends_in(const char *name, const char *end)
{
	size_t length = strlen(name), tail = strlen(end);

	return length > tail && strcmp(name + length - tail, end) == 0;
}

static char *
join(const char *directory, const char *name, const char *end)
{
	char *path;

	if (asprintf(&path, "%s/%s%s", directory, name, end) < 0)
		say_no_memory();
	return path;
}

static bool
exists(const char *directory, const char *name, const char *end)
{
	char *path = join(directory, name, end);
	struct stat found;
	bool is_there = stat(path, &found) == 0 && S_ISREG(found.st_mode);

	free(path);
	return is_there;
}

static void
read_file(const char *directory, const char *name, const char *end, struct contents *contents)
{
	char *path = join(directory, name, end);

	if (contents_read(path, contents) != 0)
		say_fatal(EXIT_USE, "%s: %s", path, strerror(errno));
	if (!contents_is_utf8(contents) || contents->size > INT_MAX)
		say_fatal(EXIT_USE, "%s: is not a text in UTF-8", path);
	free(path);
}

static void
read_case(const char *directory, const char *name, struct test_case *test)
{
	const char *end = NULL;

	for (size_t i = 0; i < ANSWER_ENDS; i++) {
		if (!exists(directory, name, answer_ends[i]))
			continue;
		if (end != NULL)
			say_fatal(EXIT_USE, "%s/%s: has two answers, %s and %s", directory, name, end, answer_ends[i]);
		end = answer_ends[i];
	}
	if (end == NULL)
		say_fatal(EXIT_USE, "%s/%s.in: has no answer: neither %s.out nor %s.ans is there", directory, name, name, name);
	test->name = strdup(name);
	if (test->name == NULL)
		say_no_memory();
	read_file(directory, name, end, &test->answer);
	if (exists(directory, name, ".in"))
		read_file(directory, name, ".in", &test->input);
	else if ((test->input.bytes = strdup("")) == NULL)
		say_no_memory();
}

/* The part of a file name that names a test, for free(); NULL: it is neither input nor answer. */
static char *
test_name(const char *file)
{
	const char *end = ends_in(file, ".in") ? ".in" : NULL;
	char *name;

	for (size_t i = 0; end == NULL && i < ANSWER_ENDS; i++)
		end = ends_in(file, answer_ends[i]) ? answer_ends[i] : NULL;
	if (end == NULL)
		return NULL;
	name = strndup(file, strlen(file) - strlen(end));
	if (name == NULL)
		say_no_memory();
	return name;
}

static int
compare_names(const void *a, const void *b)
{
	return strverscmp(((const struct test_case *)a)->name, ((const struct test_case *)b)->name);
}

static bool
is_known(const struct test_case *cases, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(cases[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Keep the one file that is neither input nor answer. */
static void
take_source(const char *directory, const char *file, char **source)
{
	if (source == NULL || *file == '.' || !exists(directory, file, ""))
		return;
	if (*source != NULL)
		say_fatal(EXIT_USE, "%s: which is the program, %s or %s? Name it behind the directory", directory,
		    *source + strlen(directory) + 1, file);
	*source = join(directory, file, "");
}

struct test_case *
test_cases_read(const char *directory, size_t *count, char **source)
{
	struct dirent **entries;
	struct test_case *cases = NULL;
	int n = scandir(directory, &entries, NULL, alphasort);

	if (n < 0)
		say_fatal(EXIT_USE, "%s: %s", directory, strerror(errno));
	*count = 0;
	for (int i = 0; i < n; i++) {
		char *name = test_name(entries[i]->d_name);

		if (name == NULL) {
			take_source(directory, entries[i]->d_name, source);
		} else if (!is_known(cases, *count, name)) {
			cases = reallocarray(cases, *count + 1, sizeof *cases);
			if (cases == NULL)
				say_no_memory();
			cases[*count] = (struct test_case){ .name = NULL };
			read_case(directory, name, &cases[*count]);
			++*count;
		}
		free(name);
		free(entries[i]);
	}
	free(entries);
	if (*count == 0)
		say_fatal(EXIT_USE, "%s: has no tests: no file is NAME.in, NAME.out or NAME.ans", directory);
	if (source != NULL && *source == NULL)
		say_fatal(EXIT_USE, "%s: has no program; name it behind the directory", directory);
	qsort(cases, *count, sizeof *cases, compare_names);
	return cases;
}

void
test_cases_free(struct test_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(cases[i].name);
		free(cases[i].input.bytes);
		free(cases[i].answer.bytes);
		free(cases[i].message);
		json_object_put(cases[i].data);
	}
	free(cases);
}
