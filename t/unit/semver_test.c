/* semver_test.c - versions and their ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "adapters/semver.h"

static void
assert_taken(const char *text, const char *expected)
{
	struct semver version;
	char printed[SEMVER_TEXT_SIZE];

	semver_take(text, &version);
	semver_print(&version, printed);
	assert_string_equal(printed, expected);
}

static void
takes_the_first_number(void **state)
{
	(void)state;
	assert_taken("3.11.2", "3.11.2");
	assert_taken("v20.19", "20.19.0");
	assert_taken("g++ (Debian 12.2.0-14) 12.2.0", "12.2.0");
	assert_taken("5.1.2.3", "5.1.2");
	assert_taken("7.", "7.0.0");
	assert_taken("1.99999999999.2", "0.0.0");
	assert_taken("none", "0.0.0");
	assert_taken("", "0.0.0");
}

static void
compares(void **state)
{
	struct semver a, b;

	(void)state;
	semver_take("3.9.10", &a);
	semver_take("3.11.2", &b);
	assert_true(semver_compare(&a, &b) < 0);
	assert_true(semver_compare(&b, &a) > 0);
	assert_int_equal(semver_compare(&a, &a), 0);
}

static void
knows_ranges(void **state)
{
	static const struct {
		const char *version, *range;
		bool is_in;
	} cases[] = {
		{ "3.11.2", "*", true },
		{ "3.11.2", "x", true },
		{ "3.11.2", "", true },
		{ "3.11.2", "3", true },
		{ "3.11.2", "3.x", true },
		{ "3.11.2", "3.11", true },
		{ "3.11.2", "3.11.*", true },
		{ "3.11.2", "3.11.2", true },
		{ "3.11.2", "=3.11.2", true },
		{ "3.11.2", "v3.11.2", true },
		{ "3.11.2", "3.11.2+deb12", true },
		{ "3.11.2", "3.11.3", false },
		{ "3.11.2", "3.10", false },
		{ "3.11.2", "2", false },
		{ "3.11.2", "^3.8.0", true },
		{ "3.11.2", "^3.12", false },
		{ "4.0.0", "^3.8", false },
		{ "0.2.5", "^0.2.3", true },
		{ "0.3.0", "^0.2.3", false },
		{ "0.0.4", "^0.0.3", false },
		{ "0.0.9", "^0.0", true },
		{ "9.0.0", "^x", true },
		{ "3.11.2", "~3.11.1", true },
		{ "3.12.0", "~3.11.1", false },
		{ "3.12.0", "~3", true },
		{ "3.11.9", "~> 3.11", true },
		{ "3.11.2", ">3.11.1", true },
		{ "3.11.2", ">3.11.2", false },
		{ "3.11.2", ">3.11", false },
		{ "3.12.0", ">3.11", true },
		{ "3.11.2", ">=3.11.2", true },
		{ "3.11.2", ">= 3", true },
		{ "3.11.2", "<3.11.2", false },
		{ "3.11.2", "<=3.11.2", true },
		{ "3.11.2", "<=3.11", true },
		{ "3.12.0", "<=3.11", false },
		{ "3.11.2", "<4", true },
		{ "3.11.2", ">=3.8 <3.12", true },
		{ "3.12.0", ">=3.8 <3.12", false },
		{ "3.11.2", "<*", false },
		{ "3.11.2", ">*", false },
		{ "3.11.2", ">=*", true },
		{ "3.11.2", "3.8 - 3.11", true },
		{ "3.12.0", "3.8 - 3.11", false },
		{ "3.11.2", "3.8 -", false },
		{ "3.11.2", "2.7 || 3.11.x", true },
		{ "3.11.2", "2.7||3.10.x", false },
		{ "3.11.2", "nope || *", true },
		{ "3.11.2", "latest", false },
		{ "3.11.2", "3.11.2-rc1", false },
		{ "3.11.2", "3.", false },
		{ "3.11.2", "3.11.2.1", false },
		{ "3.11.2", ">", false },
		{ "3.11.2", "^^3", false },
		{ "3.11.2", "99999999999", false },
		{ "3.11.2", "3 nope", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct semver version;

		semver_take(cases[i].version, &version);
		if (semver_is_in(&version, cases[i].range) != cases[i].is_in)
			fail_msg("%s and \"%s\"", cases[i].version, cases[i].range);
	}
}

static void
bounds_the_length_of_a_range(void **state)
{
	struct semver version = { { 1, 2, 3 } };
	char range[4096];

	(void)state;
	memset(range, ' ', sizeof range);
	range[0] = '*';
	range[sizeof range - 1] = '\0';
	assert_false(semver_is_in(&version, range));
	strcpy(range, "||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||1.x");
	assert_true(semver_is_in(&version, range));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_first_number),
		cmocka_unit_test(compares),
		cmocka_unit_test(knows_ranges),
		cmocka_unit_test(bounds_the_length_of_a_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
