/*
 * collect_pattern.c - see collect_pattern.h. Runs in collectors, over patterns and names that
 * strangers chose.
 */
#define _GNU_SOURCE
#include "warden/collect_pattern.h"

#include <stddef.h>
#include <string.h>

/*
 * Match one byte with the set that begins behind a '['. *end: behind its ']'. Returns 1 or 0, or -1
 * if there is no ']': then the '[' stands for itself.
 */
static int
match_set(const char *set, const char *set_end, char byte, const char **end)
{
	unsigned char c = (unsigned char)byte;
	const char *at = set;
	bool is_negated = at < set_end && (*at == '!' || *at == '^'), is_in = false;

	at += is_negated;
	for (const char *first = at; at < set_end && (*at != ']' || at == first); at++) {
		unsigned char low = (unsigned char)*at, high = low;

		if (set_end - at > 2 && at[1] == '-' && at[2] != ']') {
			high = (unsigned char)at[2];
			at += 2;
		}
		is_in = is_in || (c >= low && c <= high);
	}
	if (at >= set_end)
		return -1;
	*end = at + 1;
	return is_in != is_negated;
}

/* Match a component. A `*` that failed takes one byte more: only the last one needs to. */
static bool
match_component(const char *pattern, const char *pattern_end, const char *name, const char *name_end)
{
	const char *star = NULL, *star_name = NULL, *end;

	if (name < name_end && *name == '.' && (pattern == pattern_end || *pattern != '.'))
		return false;
	while (name < name_end) {
		int in_set = pattern < pattern_end && *pattern == '[' ? match_set(pattern + 1, pattern_end, *name, &end) : -1;

		if (in_set == 1) {
			pattern = end;
			name++;
		} else if (pattern < pattern_end && *pattern == '*') {
			star = ++pattern;
			star_name = name;
		} else if (in_set == -1 && pattern < pattern_end && (*pattern == '?' || *pattern == *name)) {
			pattern++;
			name++;
		} else if (star != NULL) {
			pattern = star;
			name = ++star_name;
		} else {
			return false;
		}
	}
	while (pattern < pattern_end && *pattern == '*')
		pattern++;
	return pattern == pattern_end;
}

/* The end of the component that begins at `at`. */
static const char *
component_end(const char *at)
{
	return at + strcspn(at, "/");
}

/* The beginning of the next component; its NUL, if there is none. */
static const char *
next_component(const char *end)
{
	return *end == '/' ? end + 1 : end;
}

static bool
is_any_depth(const char *pattern)
{
	return pattern[0] == '*' && pattern[1] == '*' && (pattern[2] == '/' || pattern[2] == '\0');
}

bool
collect_pattern_matches(const char *pattern, const char *path)
{
	const char *any = NULL, *any_path = NULL;

	while (*path != '\0') {
		const char *path_end = component_end(path), *pattern_end = component_end(pattern);

		if (is_any_depth(pattern)) {
			any = next_component(pattern_end);
			any_path = path;
			/* At the end it stands for all files below. */
			pattern = *any == '\0' ? "*" : any;
			any = pattern;
			continue;
		}
		if (*pattern != '\0' && match_component(pattern, pattern_end, path, path_end) &&
		    (*path_end == '\0') == (*pattern_end == '\0')) {
			pattern = next_component(pattern_end);
			path = next_component(path_end);
			continue;
		}
		if (any == NULL || *any_path == '.')
			return false;
		any_path = next_component(component_end(any_path));
		pattern = any;
		path = any_path;
	}
	return *pattern == '\0';
}

static bool
leads_below(const char *pattern, const char *path, bool is_by_name)
{
	for (;;) {
		const char *path_end = component_end(path), *pattern_end = component_end(pattern);

		if (*path == '\0')
			return *pattern != '\0';
		if (is_any_depth(pattern)) {
			/* The rest may name a directory with a dot, at any depth. */
			return !is_by_name && (*next_component(pattern_end) != '\0' || *path != '.');
		}
		if (*pattern == '\0' || !match_component(pattern, pattern_end, path, path_end))
			return false;
		path = next_component(path_end);
		pattern = next_component(pattern_end);
	}
}

bool
collect_pattern_leads_below(const char *pattern, const char *path)
{
	return leads_below(pattern, path, false);
}

bool
collect_pattern_names(const char *pattern, const char *path)
{
	return leads_below(pattern, path, true);
}
