/*
 * memory_budget_test.c - start/memory_budget.c: what running cells may have together, and which
 * configurations cannot work.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "start/memory_budget.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

uint64_t cgroup_find_memory_limit(const char *parent);

uint64_t
cgroup_find_memory_limit(const char *parent)
{
	return parent == NULL ? UINT64_MAX : 500 * MIB;
}

static struct language_config python, c;
static struct config config;
static char *compiler[] = { (char *)(uintptr_t) "cc" };

static int
set_up(void **state)
{
	(void)state;
	python = (struct language_config){ .file = (char *)(uintptr_t) "python3.conf",
		.limits = { .default_ = { .memory_bytes = 256 * MIB }, .maximum = { .memory_bytes = GIB } } };
	c = python;
	c.file = (char *)(uintptr_t) "c.conf";
	c.compile.command.item = compiler;
	c.compile.command.count = 1;
	c.compile.limits.memory_bytes = 512 * MIB;
	config = (struct config){ .path = (char *)(uintptr_t) "test.conf", .language = { &python, &c }, .language_count = 2 };
	return 0;
}

static void
the_smaller_of_machine_and_group(void **state)
{
	char text[512];
	uint64_t bytes;

	(void)state;
	assert_int_equal(memory_budget_of(&config, 10 * GIB, UINT64_MAX, &bytes, text, sizeof text), 0);
	assert_in_range(bytes, 8 * GIB - 100, 8 * GIB);
	assert_string_equal(text, "80 % of the 10240 MiB of this machine = 8191 MiB");
	assert_int_equal(memory_budget_of(&config, 10 * GIB, 1000 * MIB, &bytes, text, sizeof text), 0);
	assert_in_range(bytes, 800 * MIB - 100, 800 * MIB);
	assert_non_null(strstr(text, "control group"));
	config.memory_bytes = 600 * MIB;
	assert_int_equal(memory_budget_of(&config, 10 * GIB, 1000 * MIB, &bytes, text, sizeof text), 0);
	assert_int_equal(bytes, 600 * MIB);
	assert_string_equal(text, "runner.memory_bytes, 600 MiB");
	assert_int_equal(memory_budget_largest(&config), GIB);
}

static void
what_can_never_start_is_refused(void **state)
{
	char text[512];
	uint64_t bytes;

	(void)state;
	/* A larger limit that only a request or a compiler asks for is refused when it comes. */
	c.compile.limits.memory_bytes = 2 * GIB;
	assert_int_equal(memory_budget_of(&config, 10 * GIB, 600 * MIB, &bytes, text, sizeof text), 0);
	assert_int_equal(memory_budget_largest(&config), 2 * GIB);
	c.limits.default_.memory_bytes = 512 * MIB;
	assert_int_equal(memory_budget_of(&config, 10 * GIB, 600 * MIB, &bytes, text, sizeof text), -1);
	assert_string_equal(text,
	    "c.conf: limits.memory_bytes: the default of 536870912 (512 MiB) is more than all runs may have together (80 % of the "
	    "600 MiB of the control group around the runner = 480 MiB); allowed: less, or more by runner.memory_bytes in "
	    "test.conf");
	config.memory_bytes = 200 * MIB;
	assert_int_equal(memory_budget_of(&config, 10 * GIB, UINT64_MAX, &bytes, text, sizeof text), -1);
	assert_non_null(strstr(text, "python3.conf: limits.memory_bytes: the default of 268435456 (256 MiB) is more"));
	assert_non_null(strstr(text, "(runner.memory_bytes, 200 MiB)"));
}

static void
the_groups_of_the_cells_count(void **state)
{
	char text[512];
	uint64_t bytes;

	(void)state;
	assert_int_equal(memory_budget_find(&config, &bytes, text, sizeof text), 0);
	config.cgroup_parent = (char *)(uintptr_t) "/sys/fs/cgroup/some";
	c.limits.default_.memory_bytes = 512 * MIB;
	assert_int_equal(memory_budget_find(&config, &bytes, text, sizeof text), -1);
	assert_non_null(strstr(text, "80 % of the 500 MiB of the control group"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_smaller_of_machine_and_group, set_up),
		cmocka_unit_test_setup(what_can_never_start_is_refused, set_up),
		cmocka_unit_test_setup(the_groups_of_the_cells_count, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
