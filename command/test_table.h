/* test_table.h - shows the results of tests: a table, or a list in JSON. */
#ifndef CELLBLOCK_TEST_TABLE_H
#define CELLBLOCK_TEST_TABLE_H

#include <stdbool.h>

#include "test_cases.h"

enum colour { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

struct test_table;

/* Returns a table for test_table_close. Rows follow in the order of the tests. */
struct test_table *test_table_open(const struct test_case *cases, size_t count, enum colour colour, bool is_json);
void test_table_row(struct test_table *table, const struct test_case *test);

/* Print the sum, and free the table. */
void test_table_close(struct test_table *table);

#endif
