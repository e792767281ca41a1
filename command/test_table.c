/* test_table.c - see test_table.h. */
#define _GNU_SOURCE
#include "test_table.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "outcome.h"
#include "say.h"

#define SHOWN_BYTES 60 /* of a line that differs */
#define WIDTH_MOST 40  /* of the column of the names */
#define MIB (1024.0 * 1024.0)

#define GREEN "\033[32m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

struct test_table {
	int width; /* of the names */
	bool has_colours;
	struct json_object *list; /* NULL: a table is printed */
	size_t count, shown, accepted;
	double slowest_ms, most_memory;
};

struct test_table *
test_table_open(const struct test_case *cases, size_t count, enum colour colour, bool is_json)
{
	struct test_table *table = calloc(1, sizeof *table);
	const char *no_color = getenv("NO_COLOR");

	if (table == NULL || (is_json && (table->list = json_object_new_array()) == NULL))
		say_no_memory();
	table->count = count;
	table->has_colours = colour == COLOUR_ALWAYS ||
	    (colour == COLOUR_AUTO && isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0'));
	table->width = 4;
	for (size_t i = 0; i < count; i++) {
		int width = (int)strnlen(cases[i].name, WIDTH_MOST);

		table->width = width > table->width ? width : table->width;
	}
	if (!is_json)
		printf("%-*s  %-16s %10s %10s %12s\n", table->width, "test", "verdict", "cpu", "wall", "memory");
	return table;
}

static double
usage_of(const struct test_case *test, const char *name)
{
	struct json_object *usage = NULL, *value = NULL;

	json_object_object_get_ex(test->data, "usage", &usage);
	json_object_object_get_ex(usage, name, &value);
	return json_object_get_double(value);
}

static void
put(const struct test_table *table, const char *colour)
{
	if (table->has_colours)
		fputs(colour, stdout);
}

/* Print a line of one of the two texts, cut, and without control characters. */
static void
print_line(const struct test_table *table, const char *what, const struct difference_text *line)
{
	char text[SHOWN_BYTES + 1];
	size_t size = line->size < SHOWN_BYTES ? line->size : SHOWN_BYTES;

	put(table, DIM);
	if (line->bytes == NULL) {
		printf("      %-9s (no such line)\n", what);
	} else {
		while (size < line->size && size > 0 && ((unsigned char)line->bytes[size] & 0xc0) == 0x80)
			size--; /* no part of a character */
		memcpy(text, line->bytes, size);
		for (size_t i = 0; i < size; i++)
			text[i] = text[i] == '\0' ? '?' : text[i];
		text[size] = '\0';
		say_clean(text);
		printf("      %-9s %s%s\n", what, text, size < line->size ? "..." : "");
	}
	put(table, PLAIN);
}

/* Print a text of several lines, such as a compiler's, without control characters. */
static void
print_text(const char *text)
{
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		char *line = strndup(text, length);

		if (line == NULL)
			say_no_memory();
		say_clean(line);
		printf("      %s\n", line);
		free(line);
		text += length + (text[length] == '\n');
	}
}

static void
print_reason(const struct test_table *table, const struct test_case *test)
{
	if (test->message != NULL) {
		print_text(test->message);
	} else if (strcmp(test->verdict, "wrong_answer") == 0) {
		printf("      line %zu differs\n", test->difference.line);
		print_line(table, "expected", &test->difference.expected);
		print_line(table, "actual", &test->difference.actual);
	} else if (test->data != NULL) {
		print_text(outcome_text(test->data, "error", ""));
	}
}

static void
print_row(struct test_table *table, const struct test_case *test, bool is_accepted)
{
	char *name = strdup(test->name);

	if (name == NULL)
		say_no_memory();
	say_clean(name);
	printf("%-*s  ", table->width, name);
	free(name);
	put(table, is_accepted ? GREEN : strcmp(test->verdict, "service_fault") == 0 ? YELLOW : RED);
	printf(test->data != NULL ? "%-16s" : "%s", test->verdict);
	put(table, PLAIN);
	if (test->data != NULL)
		printf(" %7.1f ms %7.1f ms %8.1f MiB", usage_of(test, "cpu_ms"), usage_of(test, "wall_ms"),
		    usage_of(test, "memory_peak_bytes") / MIB);
	putchar('\n');
	if (!is_accepted)
		print_reason(table, test);
	fflush(stdout);
}

static struct json_object *
text_of(const struct difference_text *line)
{
	return line->bytes == NULL ? NULL : json_object_new_string_len(line->bytes, (int)line->size);
}

static void
add_to_list(struct test_table *table, const struct test_case *test)
{
	struct json_object *row = json_object_new_object(), *difference;

	json_object_object_add(row, "name", json_object_new_string(test->name));
	json_object_object_add(row, "verdict", json_object_new_string(test->verdict));
	if (strcmp(test->verdict, "wrong_answer") == 0) {
		difference = json_object_new_object();
		json_object_object_add(difference, "line", json_object_new_int64((int64_t)test->difference.line));
		json_object_object_add(difference, "expected", text_of(&test->difference.expected));
		json_object_object_add(difference, "actual", text_of(&test->difference.actual));
		json_object_object_add(row, "difference", difference);
	}
	if (test->message != NULL)
		json_object_object_add(row, "message", json_object_new_string(test->message));
	json_object_object_add(row, "data", json_object_get(test->data));
	json_object_array_add(table->list, row);
}

void
test_table_row(struct test_table *table, const struct test_case *test)
{
	bool is_accepted = strcmp(test->verdict, "accepted") == 0;
	double wall_ms = usage_of(test, "wall_ms"), memory = usage_of(test, "memory_peak_bytes");

	table->shown++;
	table->accepted += is_accepted;
	table->slowest_ms = wall_ms > table->slowest_ms ? wall_ms : table->slowest_ms;
	table->most_memory = memory > table->most_memory ? memory : table->most_memory;
	if (table->list != NULL)
		add_to_list(table, test);
	else
		print_row(table, test, is_accepted);
}

void
test_table_close(struct test_table *table)
{
	if (table->list != NULL) {
		printf("%s\n",
		    json_object_to_json_string_ext(table->list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		put(table, table->accepted == table->count ? GREEN : RED);
		printf("%zu of %zu accepted", table->accepted, table->count);
		put(table, PLAIN);
		printf("; slowest %.1f ms, most memory %.1f MiB", table->slowest_ms, table->most_memory / MIB);
		if (table->shown < table->count)
			printf("; %zu not run", table->count - table->shown);
		putchar('\n');
	}
	json_object_put(table->list);
	free(table);
}
