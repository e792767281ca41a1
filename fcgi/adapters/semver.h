/* semver.h - versions of three numbers, and ranges of them as npm has them. */
#ifndef CELLBLOCK_SEMVER_H
#define CELLBLOCK_SEMVER_H

#include <stdbool.h>
#include <stdint.h>

struct semver {
	uint32_t part[3];
};

#define SEMVER_TEXT_SIZE 40

/*
 * Take the first number of a text, with up to two more that follow it after points; those that are
 * missing are 0. A text without a number is version 0.0.0.
 */
void semver_take(const char *text, struct semver *version);

/* Write "1.2.3". `text` has room for SEMVER_TEXT_SIZE bytes. */
void semver_print(const struct semver *version, char *text);

/* Below 0, 0 or above 0, as with strcmp. */
int semver_compare(const struct semver *a, const struct semver *b);

/*
 * Whether the version is in a range: "*", "3", "3.x", "3.10.1", "^3.8", "~1.2", ">=3 <4",
 * "1.2 - 1.4", and several with "||" between them. A range that is malformed, or names a
 * pre-release, has no version in it.
 */
bool semver_is_in(const struct semver *version, const char *range);

#endif
