/* adapter_content_test.c - contents of files in the forms of other protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/adapter_content.h"

static void
assert_made(size_t (*make)(const char *, size_t, char *), const char *text, const char *expected)
{
	size_t size = strlen(text), length;
	char *to = malloc(ADAPTER_CONTENT_SIZE(size));

	assert_non_null(to);
	length = make(text, size, to);
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(to, expected, length);
	free(to);
}

static void
base64_is_made_strict(void **state)
{
	(void)state;
	assert_made(adapter_content_base64, "", "");
	assert_made(adapter_content_base64, "YWJj", "YWJj");
	assert_made(adapter_content_base64, "YWI=", "YWI=");
	assert_made(adapter_content_base64, "YWI", "YWI=");
	assert_made(adapter_content_base64, "YQ", "YQ==");
	assert_made(adapter_content_base64, "Y", "");
	assert_made(adapter_content_base64, "YWJjY", "YWJj");
	assert_made(adapter_content_base64, "Y W\nJ\rj", "YWJj");
	assert_made(adapter_content_base64, "-_8=", "+/8=");
	assert_made(adapter_content_base64, "YQ==YWJj", "YQ==");
	assert_made(adapter_content_base64, "YR==", "YQ=="); /* bits that belong to no byte */
	assert_made(adapter_content_base64, "YWJ=", "YWI=");
}

static void
hexadecimal_digits_become_base64(void **state)
{
	(void)state;
	assert_made(adapter_content_hex, "", "");
	assert_made(adapter_content_hex, "616263", "YWJj");
	assert_made(adapter_content_hex, "6162", "YWI=");
	assert_made(adapter_content_hex, "61", "YQ==");
	assert_made(adapter_content_hex, "6", "");
	assert_made(adapter_content_hex, "00fF", "AP8=");
	assert_made(adapter_content_hex, "61626x63", "YWI=");
	assert_made(adapter_content_hex, "0x61", "");
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
