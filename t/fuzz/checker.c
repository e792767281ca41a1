/*
 * checker.c - an answer, or a pattern, and an output, separated by a line of "%%". Each checker
 * compares them.
 */
#define _GNU_SOURCE
#include "checker.h"

#include <string.h>

#include "checker_regex.h"
#include "fuzz.h"

static bool
is_part(const struct text *part, const struct text *whole)
{
	return part->size == 0 || (part->bytes >= whole->bytes && part->bytes + part->size <= whole->bytes + whole->size);
}

static void
try_checker(enum checker_kind kind, const struct text *answer, const struct text *output)
{
	const struct checker checker = { kind, CHECKER_TOLERANCE, CHECKER_TOLERANCE };
	struct check_difference difference;
	enum check check;

	if (checker_fault(&checker, answer) != NULL)
		return;
	check = checker_compare(&checker, answer, output, &difference);
	must(difference.is_known == (check == CHECK_WRONG || check == CHECK_PRESENTATION));
	if (difference.is_known) {
		must(difference.line > 0 && difference.column > 0 && difference.column <= output->size + 1);
		must(is_part(&difference.expected, answer) && is_part(&difference.got, output));
	}
	/* Equal texts are right, but for a pattern. */
	if (kind != CHECKER_REGEX && answer->size == output->size && memcmp(answer->bytes, output->bytes, output->size) == 0)
		must(check == CHECK_ACCEPTED);
	/* The exact checker accepts nothing that these do not. */
	if (kind == CHECKER_EXACT && check == CHECK_ACCEPTED) {
		try_checker(CHECKER_LINES, answer, output);
		try_checker(CHECKER_TOKENS, answer, output);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	do {
		const uint8_t *at = data, *part;
		size_t left = size, part_size;
		struct text answer = { "", 0 }, output = { "", 0 };

		fuzz_begin();
		if (fuzz_next_part(&at, &left, &part, &part_size))
			answer = (struct text){ (const char *)part, part_size };
		if (fuzz_next_part(&at, &left, &part, &part_size))
			output = (struct text){ (const char *)part, part_size };
		for (int kind = 0; kind < CHECKER_KINDS; kind++)
			try_checker((enum checker_kind)kind, &answer, &output);
	} while (!fuzz_end());
	return 0;
}
