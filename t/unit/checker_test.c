/*
 * checker_test.c - the checkers of tests: what each accepts, where it says that an output differs,
 * and that no pattern and no output takes long.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "checker.h"
#include "checker_regex.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct check_difference difference;

static enum check
check(const struct checker *checker, const char *answer, const char *output)
{
	const struct text a = { answer, strlen(answer) }, o = { output, strlen(output) };

	return checker_compare(checker, &a, &o, &difference);
}

struct row {
	enum checker_kind kind;
	const char *answer, *output;
	enum check check;
	size_t line, column; /* where it differs; 0: it does not */
};

static const struct row rows[] = {
	{ CHECKER_EXACT, "a\n", "a\n", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_EXACT, "", "", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_EXACT, "a\n", "a", CHECK_PRESENTATION, 1, 2 },
	{ CHECKER_EXACT, "a b\n", "a  b\n", CHECK_PRESENTATION, 1, 3 },
	{ CHECKER_EXACT, "a\nb\nc", "a\nb\nd", CHECK_WRONG, 3, 1 },
	{ CHECKER_EXACT, "", "x", CHECK_WRONG, 1, 1 },
	{ CHECKER_LINES, "a\nb\n", "a\nb", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_LINES, "a\nb", "a \t\nb\r\n\n\n", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_LINES, "", "\n \n", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_LINES, "a\n\nb", "a\nb", CHECK_PRESENTATION, 2, 1 },
	{ CHECKER_LINES, "a b", " a b", CHECK_PRESENTATION, 1, 1 },
	{ CHECKER_LINES, "a\nb c\n", "a\nb d\n", CHECK_WRONG, 2, 3 },
	{ CHECKER_LINES, "a\nb\n", "a\n", CHECK_WRONG, 1, 2 },
	{ CHECKER_LINES, "a\n", "a\nb\n", CHECK_WRONG, 2, 1 },
	{ CHECKER_TOKENS, "a b\nc", " a\nb   c\n", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_TOKENS, "a b", "ab", CHECK_WRONG, 1, 1 },
	{ CHECKER_TOKENS, "a b", "a", CHECK_WRONG, 1, 2 },
	{ CHECKER_TOKENS, "a", "a\nb", CHECK_WRONG, 2, 1 },
	{ CHECKER_FLOATS, "1.0 2", "1.0000001 2.0", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_FLOATS, "1000000", "1000000.9", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_FLOATS, "1.0", "1.01", CHECK_WRONG, 1, 1 },
	{ CHECKER_FLOATS, "yes 1", "yes 1", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_FLOATS, "1", "1x", CHECK_WRONG, 1, 1 },
	{ CHECKER_FLOATS, "1", "", CHECK_WRONG, 1, 1 },
	{ CHECKER_FLOATS, "nan inf -inf", "NaN infinity -inf", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_FLOATS, "1", "nan", CHECK_WRONG, 1, 1 },
	{ CHECKER_FLOATS, "1", "inf", CHECK_WRONG, 1, 1 },
	{ CHECKER_FLOATS, "inf", "-inf", CHECK_WRONG, 1, 1 },
	{ CHECKER_UNORDERED_LINES, "a\nb\nc", "c\na \nb\n", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_UNORDERED_LINES, "", "\n", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_UNORDERED_LINES, "a\na\nb", "a\nb\nb", CHECK_WRONG, 2, 1 },
	{ CHECKER_UNORDERED_LINES, "a", "a\nb", CHECK_WRONG, 2, 2 },
	{ CHECKER_REGEX, "a+", "aaa\n", CHECK_ACCEPTED, 0, 0 },
	{ CHECKER_REGEX, "a+", "aab", CHECK_WRONG, 1, 1 },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const struct row *row = &rows[i];
		const struct checker checker = { row->kind, CHECKER_TOLERANCE, CHECKER_TOLERANCE };
		enum check found = check(&checker, row->answer, row->output);

		if (found != row->check || (difference.is_known ? difference.line : 0) != row->line ||
		    (difference.is_known ? difference.column : 0) != row->column)
			fail_msg("%s, \"%s\", \"%s\": %d at %zu:%zu", checker_names[row->kind], row->answer, row->output, found,
			    difference.line, difference.column);
	}
}

static void
test_difference(void **state)
{
	const struct checker checker = { .kind = CHECKER_LINES };

	(void)state;
	assert_int_equal(check(&checker, "one\ntwo three\n", "one\ntwo tree\nmore"), CHECK_WRONG);
	assert_int_equal(difference.expected.size, 4);
	assert_memory_equal(difference.expected.bytes, "hree", 4);
	assert_int_equal(difference.got.size, 3);
	assert_memory_equal(difference.got.bytes, "ree", 3);
}

static void
test_tolerance(void **state)
{
	const struct checker absolute = { CHECKER_FLOATS, 0.5, 0 }, relative = { CHECKER_FLOATS, 0, 0.1 };

	(void)state;
	assert_int_equal(check(&absolute, "1000", "1000.5"), CHECK_ACCEPTED);
	assert_int_equal(check(&absolute, "1000", "1000.6"), CHECK_WRONG);
	assert_int_equal(check(&relative, "1000", "1100"), CHECK_ACCEPTED);
	assert_int_equal(check(&relative, "1000", "1101"), CHECK_WRONG);
	assert_int_equal(check(&relative, "0", "0.0001"), CHECK_WRONG);
}

/* ---- patterns ---------------------------------------------------------------------------------------------------- */

static enum regex_match
match_bytes(const char *pattern, const char *text, size_t size)
{
	const struct text p = { pattern, strlen(pattern) }, t = { text, size };
	struct checker_regex *regex;
	const char *fault = checker_regex_compile(&p, &regex);
	enum regex_match found;

	if (fault != NULL)
		fail_msg("%s: %s", pattern, fault);
	found = checker_regex_match(regex, &t);
	checker_regex_free(regex);
	return found;
}

static const struct {
	const char *pattern, *text;
	bool matches;
} patterns[] = {
	{ "", "", true },
	{ "", "a", false },
	{ "abc", "abc", true },
	{ "abc", "abcd", false },
	{ "abc", "ab", false },
	{ "a|b", "b", true },
	{ "a|b|cd", "cd", true },
	{ "a|b|cd", "c", false },
	{ "a||b", "", true },
	{ "(ab)*", "ababab", true },
	{ "(ab)*", "aba", false },
	{ "(?:a|b)+c", "abbac", true },
	{ "(a|b)+c", "c", false },
	{ "a?b", "b", true },
	{ "a?b", "aab", false },
	{ "a{3}", "aaa", true },
	{ "a{3}", "aa", false },
	{ "a{2,}", "aaaaa", true },
	{ "a{2,3}", "aaa", true },
	{ "a{2,3}", "aaaa", false },
	{ "a{0}b", "b", true },
	{ "(a*)*", "aaa", true },
	{ "(a*)+b", "aab", true },
	{ "(a|a*)*$", "aaaa", true },
	{ "[a-c]+", "abcab", true },
	{ "[^a-c]+", "xyz", true },
	{ "[^a-c]+", "xaz", false },
	{ "[]a]+", "]a]", true },
	{ "[a-]+", "a-a", true },
	{ "[\\d.]+", "3.14", true },
	{ "\\d+ \\w+\\s\\S", "42 foo_1\tx", true },
	{ "\\D", "5", false },
	{ "\\W", "-", true },
	{ ".", "\n", false },
	{ ".", "\xc3\xa9", true },
	{ ".", "\xff", true },
	{ "..", "\xc3\xa9", false },
	{ "\xc3\xa9+", "\xc3\xa9\xc3\xa9", true },
	{ "[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true },
	{ "a\nb", "a\nb", true },
	{ "^a$\\n^b$", "a\nb", true },
	{ "a^b", "ab", false },
	{ "(^a\\n)*b", "a\na\nb", true },
	{ "\\.\\*\\\\", ".*\\", true },
	{ "a\\n?", "a\n", true },
};

static void
test_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(patterns); i++) {
		bool matches = match_bytes(patterns[i].pattern, patterns[i].text, strlen(patterns[i].text)) == REGEX_MATCHES;

		if (matches != patterns[i].matches)
			fail_msg("\"%s\", \"%s\": %d", patterns[i].pattern, patterns[i].text, matches);
	}
}

static void
test_bad_patterns(void **state)
{
	static const char *const bad[] = { "(", ")", "a)", "(a", "[a", "[", "[]", "*", "a**", "a{1}{2}", "a{", "a{x}", "a{1001}",
		"a{3,2}", "\\", "\\1", "\\b", "(?=a)", "[b-a]", "[\\D]", "a|*", "(((a{1000}){1000}){1000})",
		"(a{0,1000}){0,1000}" };
	char deep[201];

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		const struct text p = { bad[i], strlen(bad[i]) };
		struct checker_regex *regex;

		if (checker_regex_compile(&p, &regex) == NULL)
			fail_msg("%s: was accepted", bad[i]);
		assert_null(regex);
	}
	memset(deep, '(', 100);
	memset(deep + 100, ')', 100);
	assert_non_null(checker_fault(&(struct checker){ .kind = CHECKER_REGEX }, &(struct text){ deep, 200 }));
}

/* Patterns that take a matcher that tries one way after the other exponential time. */
static void
test_catastrophic(void **state)
{
	static const char *const evil[] = { "(a+)+b", "(a|a)*b", "(a*)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)(.*)b",
		"(a?){500}a{500}b" };
	static char text[100000];

	(void)state;
	memset(text, 'a', sizeof text);
	for (size_t i = 0; i < LENGTH(evil); i++)
		assert_int_not_equal(match_bytes(evil[i], text, sizeof text), REGEX_MATCHES);
	/* The work has a bound. */
	assert_int_equal(match_bytes("(a*b*c*d*){1000}", text, sizeof text), REGEX_TOO_LONG);
}

/* ---- size -------------------------------------------------------------------------------------------------------- */

/* Lines with the same long beginning, and very many empty ones. */
static void
test_large(void **state)
{
	const size_t size = 16 << 20;
	char *answer = malloc(size + 1), *output = malloc(size + 1);
	const struct text a = { answer, size }, o = { output, size };
	const struct checker unordered = { .kind = CHECKER_UNORDERED_LINES };

	(void)state;
	assert_non_null(answer);
	assert_non_null(output);
	memset(answer, 'x', size);
	for (size_t at = 65535; at < size; at += 65536)
		answer[at] = '\n';
	memcpy(output, answer, size);
	output[3] = 'y';
	answer[size - 65530] = 'y';
	assert_int_equal(checker_compare(&unordered, &a, &o, &difference), CHECK_WRONG);
	memset(output, '\n', size);
	output[size - 1] = 'x';
	assert_int_equal(checker_compare(&unordered, &a, &o, &difference), CHECK_WRONG);
	/* More lines than are sorted are refused before a run. */
	assert_non_null(checker_fault(&unordered, &o));
	assert_null(checker_fault(&unordered, &a));
	free(answer);
	free(output);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_tolerance),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_bad_patterns),
		cmocka_unit_test(test_catastrophic),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
