/*
 * checker_regex.h - matches a text against a pattern in a time that is bounded.
 *
 * A pattern is a regular expression without back references: it has . ^ $ | ( ) (?: ) [ ] * + ?
 * {m,n} and \d \D \w \W \s \S \n \r \t. It matches all of a text or none of it. All states of the
 * automaton are followed at the same time, so no pattern is matched by trying one way after the
 * other. The work is counted, and ends at a bound.
 */
#ifndef CELLBLOCK_CHECKER_REGEX_H
#define CELLBLOCK_CHECKER_REGEX_H

#include <stdint.h>

#include "text.h"

#define CHECKER_REGEX_BYTES 4096                /* of a pattern */
#define CHECKER_REGEX_STATES 20000              /* of its automaton: each repetition has its own */
#define CHECKER_REGEX_STEPS UINT64_C(300000000) /* of a match: about a second */

struct checker_regex;

enum regex_match {
	REGEX_MATCHES,
	REGEX_DIFFERS,
	REGEX_TOO_LONG, /* it takes more than CHECKER_REGEX_STEPS, or there is no memory */
};

/*
 * Compile a pattern. Returns NULL and *regex for checker_regex_free; or what is wrong, in static
 * memory, and *regex is NULL.
 */
const char *checker_regex_compile(const struct text *pattern, struct checker_regex **regex);

enum regex_match checker_regex_match(const struct checker_regex *regex, const struct text *text);

/* Does nothing for NULL. */
void checker_regex_free(struct checker_regex *regex);

#endif
