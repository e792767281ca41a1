/* adapter_content_test.c - contents of files in the forms of other protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/adapter_content.h"

/* A text in a form, and the base64 that is made of it. */
struct made {
	const char *text, *expected;
};

static void
assert_made(size_t (*make)(const char *, size_t, char *), const struct made *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(cases[i].text), length;
		char *to = malloc(ADAPTER_CONTENT_SIZE(size));

		assert_non_null(to);
		length = make(cases[i].text, size, to);
		assert_int_equal(length, strlen(cases[i].expected));
		assert_memory_equal(to, cases[i].expected, length);
		free(to);
	}
}

static void
base64_is_made_strict(void **state)
{
	static const struct made cases[] = {
		{ "", "" },
		{ "YWJj", "YWJj" },
		{ "YWI=", "YWI=" },
		{ "YWI", "YWI=" },
		{ "YQ", "YQ==" },
		{ "Y", "" },
		{ "YWJjY", "YWJj" },
		{ "Y W\nJ\rj", "YWJj" },
		{ "-_8=", "+/8=" },
		{ "YQ==YWJj", "YQ==" },
		{ "YR==", "YQ==" }, /* bits that belong to no byte */
		{ "YWJ=", "YWI=" },
	};

	(void)state;
	assert_made(adapter_content_base64, cases, sizeof cases / sizeof cases[0]);
}

static void
hexadecimal_digits_become_base64(void **state)
{
	static const struct made cases[] = {
		{ "", "" },
		{ "616263", "YWJj" },
		{ "6162", "YWI=" },
		{ "61", "YQ==" },
		{ "6", "" },
		{ "00fF", "AP8=" },
		{ "61626x63", "YWI=" },
		{ "0x61", "" },
	};

	(void)state;
	assert_made(adapter_content_hex, cases, sizeof cases / sizeof cases[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_is_made_strict),
		cmocka_unit_test(hexadecimal_digits_become_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
