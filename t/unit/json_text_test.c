/*
 * json_text_test.c - arbitrary bytes as the inside of a JSON string, in one piece and in several.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define BAD "\xef\xbf\xbd" /* U+FFFD */
#define T(in, out) \
	{ \
		in, sizeof(in) - 1, out \
	}

static const struct {
	const char *in;
	size_t size;
	const char *out;
} cases[] = {
	T("", ""), T("plain", "plain"),
	T("more than eight plain bytes, and then some", "more than eight plain bytes, and then some"),
	T("a\"b\\c/d", "a\\\"b\\\\c/d"), T("\b\t\n\f\r", "\\b\\t\\n\\f\\r"), T("\0\1\x1f\x7f", "\\u0000\\u0001\\u001f\x7f"),
	T("\"2345678", "\\\"2345678"), T("1234567\"", "1234567\\\""), T("1234567\x1f", "1234567\\u001f"),
	T("!#[] ~", "!#[] ~"), /* the neighbours of escaped characters */
	T("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
	T("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
	    "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
	/* ill-formed: the same result as Python's bytes.decode(errors='replace') */
	T("\x80", BAD), T("\xbf\xbf", BAD BAD), T("\xff\xfe", BAD BAD), T("\xc0\x80", BAD BAD), /* overlong */
	T("\xc1\xbf", BAD BAD), T("\xe0\x80\x80", BAD BAD BAD), T("\xe0\x9f\xbf", BAD BAD BAD),
	T("\xf0\x80\x80\x80", BAD BAD BAD BAD), T("\xed\xa0\x80", BAD BAD BAD), /* a surrogate */
	T("\xed\x9f\xbf", "\xed\x9f\xbf"),                                      /* the last before the surrogates */
	T("\xf4\x90\x80\x80", BAD BAD BAD BAD),                                 /* past U+10FFFF */
	T("\xf5\x80\x80\x80", BAD BAD BAD BAD), T("\xc3", BAD),                 /* cut */
	T("\xc3"
	  "A",
	    BAD "A"),
	T("\xe2\x82", BAD),
	T("\xe2\x82"
	  "A",
	    BAD "A"),
	T("\xe2\x82\xe2\x82\xac", BAD "\xe2\x82\xac"), T("\xf0\x9f\x98", BAD), T("\xf0\x9f\x98\"", BAD "\\\""),
	T("\xf0\x9f"
	  "A\xf0\x9f\x98\x80",
	    BAD "A\xf0\x9f\x98\x80"),
	T("\xf1\x80\x80\xe1\x80\xc2"
	  "b\x80"
	  "c\x80\xbf"
	  "d",
	    BAD BAD BAD "b" BAD "c" BAD BAD "d"), /* Unicode, table 3-8 */
};

/* Escape all of `in`, with room for `room` bytes at a time. */
static char *
escape_by(const char *in, size_t size, size_t room, size_t *length)
{
	char *all = malloc(size * JSON_TEXT_MAX + 1);
	size_t used;

	assert_non_null(all);
	*length = 0;
	for (size_t at = 0; at < size; at += used) {
		char block[256];
		size_t n = json_text_escape(in + at, size - at, &used, block, room);

		assert_true(n <= room && used > 0);
		memcpy(all + *length, block, n);
		*length += n;
	}
	all[*length] = '\0';
	return all;
}

static void
test_every_case_in_any_room(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		for (size_t room = JSON_TEXT_MAX; room <= 64; room++) {
			size_t length;
			char *out = escape_by(cases[i].in, cases[i].size, room, &length);

			assert_string_equal(out, cases[i].out);
			assert_int_equal(length, strlen(cases[i].out));
			free(out);
		}
		assert_int_equal(json_text_length(cases[i].in, cases[i].size), strlen(cases[i].out));
	}
}

/* A text that was repaired is escaped like the text that was not. */
static void
test_repair(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char repaired[256];
		size_t size = json_text_repair(cases[i].in, cases[i].size, NULL), length;
		char *out;

		assert_true(size <= sizeof repaired && size <= 3 * cases[i].size);
		assert_int_equal(json_text_repair(cases[i].in, cases[i].size, repaired), size);
		assert_int_equal(json_text_well_formed(repaired, size), size);
		out = escape_by(repaired, size, 64, &length);
		assert_string_equal(out, cases[i].out);
		free(out);
	}
}

/* Each byte at each place among plain ones: the fast path must agree with the slow one. */
static void
test_every_byte_at_every_place(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		for (size_t place = 0; place < 24; place++) {
			char in[24], one = (char)byte, alone[JSON_TEXT_MAX], *out;
			size_t length, used;
			size_t n = json_text_escape(&one, 1, &used, alone, sizeof alone);

			memset(in, '~', sizeof in);
			in[place] = one;
			out = escape_by(in, sizeof in, 256, &length);
			assert_int_equal(length, sizeof in - 1 + n);
			assert_memory_equal(out + place, alone, n);
			for (size_t i = 0; i < length; i++)
				assert_true((i >= place && i < place + n) || out[i] == '~');
			free(out);
		}
	}
}

static void
test_trim(void **state)
{
	static const struct {
		const char *in;
		size_t left;
	} trims[] = {
		{ "", 0 },
		{ "abc", 3 },
		{ "abc\xc3", 3 },
		{ "abc\xc3\xa9", 5 },
		{ "ab\xe2", 2 },
		{ "ab\xe2\x82", 2 },
		{ "ab\xe2\x82\xac", 5 },
		{ "a\xf0\x9f\x98", 1 },
		{ "a\xf0\x9f\x98\x80", 5 },
		{ "\xf0", 0 },
		/*
		 * never the beginning of a sequence: it stays, and becomes U+FFFD as it would in
		 * the middle
		 */
		{ "a\x80", 2 },
		{ "a\xff", 2 },
		{ "a\xed\xa0", 3 },
		{ "a\x80\x80\x80", 4 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(trims); i++)
		assert_int_equal(json_text_trim(trims[i].in, strlen(trims[i].in)), trims[i].left);
}

/* The text is well-formed up to the place of the first replacement. */
static void
test_well_formed(void **state)
{
	static const struct {
		const char *in;
		size_t good;
	} texts[] = {
		{ "", 0 },
		{ "seventeen letters", 17 },
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 14 },
		{ "1234567\xc3\xa9", 9 },
		{ "1234567\xc3", 7 },
		{ "12345678\xff", 8 },
		{ "a\xf4\x8f\xbf\xbf", 5 },
		{ "a\xf4\x90\x80\x80", 1 },
		{ "a\xed\xa0\x80", 1 },
		{ "a\xc0\x80", 1 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(texts); i++)
		assert_int_equal(json_text_well_formed(texts[i].in, strlen(texts[i].in)), texts[i].good);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		bool is_good = strstr(cases[i].out, BAD) == NULL;

		assert_int_equal(json_text_well_formed(cases[i].in, cases[i].size) == cases[i].size, is_good);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_case_in_any_room),
		cmocka_unit_test(test_repair),
		cmocka_unit_test(test_every_byte_at_every_place),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_well_formed),
	};

	return cmocka_run_group_tests_name("json_text", tests, NULL, NULL);
}
