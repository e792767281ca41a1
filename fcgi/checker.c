/* checker.c - see checker.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "checker.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "checker_regex.h"

#define SHOWN_BYTES 80  /* of each text of a difference */
#define NUMBER_BYTES 64 /* a longer word is no number */

const char *const checker_names[CHECKER_KINDS] = { [CHECKER_EXACT] = "exact",
	[CHECKER_LINES] = "lines",
	[CHECKER_TOKENS] = "tokens",
	[CHECKER_FLOATS] = "floats",
	[CHECKER_UNORDERED_LINES] = "unordered_lines",
	[CHECKER_REGEX] = "regex" };

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool
is_space(char c)
{
	return is_blank(c) || c == '\n';
}

/* ---- differences ------------------------------------------------------------------------------------------------- */

/* The rest of the line at `at`, or the part of it that is shown. */
static struct text
excerpt(const struct text *text, size_t at)
{
	size_t left = text->size - at, size = left < SHOWN_BYTES ? left : SHOWN_BYTES;
	const char *end = memchr(text->bytes + at, '\n', size);

	return (struct text){ text->bytes + at, end != NULL ? (size_t)(end - text->bytes) - at : size };
}

/* The output has `at` where the answer has `expected_at`. */
static void
note(struct check_difference *difference, const struct text *answer, size_t expected_at, const struct text *output, size_t at)
{
	size_t line = 1, start = 0;
	const char *end;

	while ((end = memchr(output->bytes + start, '\n', at - start)) != NULL) {
		line++;
		start = (size_t)(end + 1 - output->bytes);
	}
	*difference = (struct check_difference){ .is_known = true,
		.line = line,
		.column = at - start + 1,
		.expected = excerpt(answer, expected_at),
		.got = excerpt(output, at) };
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static size_t
common_bytes(const struct text *a, const struct text *b)
{
	size_t most = a->size < b->size ? a->size : b->size, at = 0;

	/* Blocks first: most outputs are right. */
	while (most - at >= 4096 && memcmp(a->bytes + at, b->bytes + at, 4096) == 0)
		at += 4096;
	while (at < most && a->bytes[at] == b->bytes[at])
		at++;
	return at;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* The next word from *at on. Returns false at the end. */
static bool
next_word(const struct text *text, size_t *at, struct text *word)
{
	size_t start;

	while (*at < text->size && is_space(text->bytes[*at]))
		++*at;
	start = *at;
	while (*at < text->size && !is_space(text->bytes[*at]))
		++*at;
	*word = (struct text){ text->bytes + start, *at - start };
	return word->size > 0;
}

static bool
are_same(const struct text *a, const struct text *b)
{
	return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Returns whether all of the word is a number. */
static bool
take_number(const struct text *word, double *number)
{
	char copy[NUMBER_BYTES + 1], *end;

	if (word->size == 0 || word->size > NUMBER_BYTES)
		return false;
	memcpy(copy, word->bytes, word->size);
	copy[word->size] = '\0';
	*number = strtod(copy, &end);
	return end == copy + word->size;
}

static bool
are_near(const struct checker *checker, const struct text *expected, const struct text *got)
{
	double wanted, number, distance;

	if (are_same(expected, got))
		return true;
	if (!take_number(expected, &wanted) || !take_number(got, &number))
		return false;
	/* Infinity is near to nothing but itself, and what is not a number to what is not one. */
	if (isnan(wanted) || isnan(number))
		return isnan(wanted) && isnan(number);
	if (isinf(wanted) || isinf(number))
		return wanted == number;
	distance = fabs(wanted - number);
	return distance <= checker->absolute || distance <= checker->relative * fabs(wanted);
}

/* `difference` may be NULL. */
static enum check
compare_words(const struct checker *checker, const struct text *answer, const struct text *output,
    struct check_difference *difference)
{
	size_t answer_at = 0, output_at = 0;

	for (;;) {
		struct text expected, got;
		bool has_expected = next_word(answer, &answer_at, &expected), has_got = next_word(output, &output_at, &got);

		if (!has_expected && !has_got)
			return CHECK_ACCEPTED;
		if (has_expected && has_got &&
		    (checker->kind == CHECKER_FLOATS ? are_near(checker, &expected, &got) : are_same(&expected, &got)))
			continue;
		if (difference != NULL)
			note(difference, answer, (size_t)(expected.bytes - answer->bytes), output,
			    (size_t)(got.bytes - output->bytes));
		return CHECK_WRONG;
	}
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* The size without the blanks and line breaks at the end. */
static size_t
trimmed(const struct text *text)
{
	size_t size = text->size;

	while (size > 0 && is_space(text->bytes[size - 1]))
		size--;
	return size;
}

/* The next line of a trimmed text, without the blanks at its end. Returns false at the end. */
static bool
next_line(const struct text *text, size_t *at, struct text *line)
{
	size_t left = *at < text->size ? text->size - *at : 0;
	const char *end;

	*line = (struct text){ text->bytes + text->size - left, 0 };
	if (left == 0)
		return false;
	end = memchr(line->bytes, '\n', left);
	line->size = end != NULL ? (size_t)(end - line->bytes) : left;
	*at += line->size + 1;
	while (line->size > 0 && is_blank(line->bytes[line->size - 1]))
		line->size--;
	return true;
}

static enum check
compare_lines(const struct text *answer, const struct text *output, struct check_difference *difference)
{
	struct text wanted = { answer->bytes, trimmed(answer) }, found = { output->bytes, trimmed(output) };
	size_t answer_at = 0, output_at = 0;

	for (;;) {
		struct text expected, got;
		bool has_expected = next_line(&wanted, &answer_at, &expected), has_got = next_line(&found, &output_at, &got);
		size_t same;

		if (!has_expected && !has_got)
			return CHECK_ACCEPTED;
		if (has_expected && has_got && are_same(&expected, &got))
			continue;
		same = common_bytes(&expected, &got);
		note(difference, answer, (size_t)(expected.bytes - answer->bytes) + same, output,
		    (size_t)(got.bytes - output->bytes) + same);
		return CHECK_WRONG;
	}
}

static size_t
count_lines(const struct text *trimmed_text)
{
	size_t at = 0, count = 0;
	struct text line;

	while (next_line(trimmed_text, &at, &line))
		count++;
	return count;
}

static int
order_lines(const void *a, const void *b)
{
	const struct text *left = a, *right = b;
	int order = memcmp(left->bytes, right->bytes, left->size < right->size ? left->size : right->size);

	return order != 0 ? order : left->size < right->size ? -1 : left->size > right->size;
}

/* The lines in order, for free(); NULL if there is no memory. There is at least one. */
static struct text *
sort_lines(const struct text *text, size_t count)
{
	struct text *lines = malloc(count * sizeof *lines);
	size_t at = 0, i = 0;

	if (lines == NULL)
		return NULL;
	while (i < count && next_line(text, &at, &lines[i]))
		i++;
	qsort(lines, count, sizeof *lines, order_lines);
	return lines;
}

static enum check
compare_sorted(const struct text *answer, const struct text *wanted, const struct text *output, const struct text *found,
    size_t count, struct check_difference *difference)
{
	for (size_t i = 0; i < count; i++) {
		if (are_same(&wanted[i], &found[i]))
			continue;
		note(difference, answer, (size_t)(wanted[i].bytes - answer->bytes), output,
		    (size_t)(found[i].bytes - output->bytes));
		return CHECK_WRONG;
	}
	return CHECK_ACCEPTED;
}

static enum check
compare_unordered(const struct text *answer, const struct text *output, struct check_difference *difference)
{
	const struct text wanted = { answer->bytes, trimmed(answer) }, found = { output->bytes, trimmed(output) };
	size_t count = count_lines(&wanted);
	struct text *wanted_lines, *found_lines;
	enum check check = CHECK_FAILED;

	/* Lines that cannot be equal are not sorted: the output may have any number of them. */
	if (count_lines(&found) != count) {
		note(difference, answer, wanted.size, output, found.size);
		return CHECK_WRONG;
	}
	if (count == 0)
		return CHECK_ACCEPTED;
	wanted_lines = sort_lines(&wanted, count);
	found_lines = sort_lines(&found, count);
	if (wanted_lines != NULL && found_lines != NULL)
		check = compare_sorted(answer, wanted_lines, output, found_lines, count, difference);
	free(wanted_lines);
	free(found_lines);
	return check;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static enum check
compare_pattern(const struct text *answer, const struct text *output, struct check_difference *difference)
{
	struct checker_regex *regex = NULL;
	const char *fault = checker_regex_compile(answer, &regex);
	struct text found = { output->bytes, trimmed(output) };
	enum regex_match match = REGEX_TOO_LONG;

	if (fault == NULL)
		match = checker_regex_match(regex, &found);
	checker_regex_free(regex);
	if (match == REGEX_TOO_LONG)
		return CHECK_FAILED;
	if (match == REGEX_MATCHES)
		return CHECK_ACCEPTED;
	note(difference, answer, 0, output, 0);
	return CHECK_WRONG;
}

static enum check
compare(const struct checker *checker, const struct text *answer, const struct text *output, struct check_difference *difference)
{
	size_t same;

	switch (checker->kind) {
	case CHECKER_EXACT:
		same = common_bytes(answer, output);
		if (same == answer->size && same == output->size)
			return CHECK_ACCEPTED;
		note(difference, answer, same, output, same);
		return CHECK_WRONG;
	case CHECKER_LINES:
		return compare_lines(answer, output, difference);
	case CHECKER_TOKENS:
	case CHECKER_FLOATS:
		return compare_words(checker, answer, output, difference);
	case CHECKER_UNORDERED_LINES:
		return compare_unordered(answer, output, difference);
	case CHECKER_REGEX:
		return compare_pattern(answer, output, difference);
	case CHECKER_KINDS:
		break;
	}
	return CHECK_FAILED;
}

enum check
checker_compare(const struct checker *checker, const struct text *answer, const struct text *output,
    struct check_difference *difference)
{
	static const struct checker words = { .kind = CHECKER_TOKENS };
	/* An empty text may have no address. */
	const struct text wanted = { answer->size > 0 ? answer->bytes : "", answer->size };
	const struct text found = { output->size > 0 ? output->bytes : "", output->size };
	enum check check;

	*difference = (struct check_difference){ .is_known = false };
	check = compare(checker, &wanted, &found, difference);
	if (check == CHECK_WRONG && (checker->kind == CHECKER_EXACT || checker->kind == CHECKER_LINES) &&
	    compare_words(&words, &wanted, &found, NULL) == CHECK_ACCEPTED)
		return CHECK_PRESENTATION;
	return check;
}

const char *
checker_fault(const struct checker *checker, const struct text *answer)
{
	struct checker_regex *regex = NULL;
	const char *fault = NULL;
	struct text wanted;

	if (checker->kind == CHECKER_REGEX) {
		fault = checker_regex_compile(answer, &regex);
		checker_regex_free(regex);
	} else if (checker->kind == CHECKER_UNORDERED_LINES && answer->size > 0) {
		wanted = (struct text){ answer->bytes, trimmed(answer) };
		if (count_lines(&wanted) > CHECKER_LINES_MOST)
			fault = "has more lines than the checker unordered_lines takes";
	}
	return fault;
}
