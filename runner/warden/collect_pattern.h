/*
 * collect_pattern.h - the patterns by which files are collected: whether a path matches one.
 *
 * A pattern is a path. In a component `*` stands for any bytes, `?` for one, and `[a-z]` or
 * `[!a-z]` for one of a set; none of them for a dot at the beginning. The component `**` stands for
 * any number of directories, also none, whose names do not begin with a dot; at the end for all
 * files below. Nothing here takes more time than the product of both lengths.
 */
#ifndef CELLBLOCK_COLLECT_PATTERN_H
#define CELLBLOCK_COLLECT_PATTERN_H

#include <stdbool.h>

/* Whether the path of a file matches. */
bool collect_pattern_matches(const char *pattern, const char *path);

/* Whether the path of a file below the directory `path` could match. */
bool collect_pattern_leads_below(const char *pattern, const char *path);

/* The same, but only if components of the pattern match all of `path` one by one, without `**`. */
bool collect_pattern_names(const char *pattern, const char *path);

#endif
