/* form.c - see form.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "form.h"

#include <ctype.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json_text.h"

#define BOUNDARY_MAX 72 /* with the two dashes before it (RFC 2046) */

struct span {
	const char *at;
	size_t size;
};

/* The fields of a form; all others are unknown, and ignored as in JSON. */
static const struct {
	const char *name;
	bool is_boolean;
} fields[] = {
	{ "language", false },
	{ "code", false },
	{ "preload", false },
	{ "stdin", false },
	{ "enable_network", true },
};

static bool
equals(struct span a, const char *text)
{
	return a.size == strlen(text) && strncasecmp(a.at, text, a.size) == 0;
}

/* A text of these bytes, in UTF-8, which "%FF" is not. NULL without memory. */
static struct json_object *
text_of(struct span value)
{
	struct json_object *text = NULL;
	char *repaired;
	size_t size;

	if (json_text_well_formed(value.at, value.size) == value.size)
		return json_object_new_string_len(value.at, (int)value.size);
	size = json_text_repair(value.at, value.size, NULL);
	repaired = size <= INT32_MAX ? malloc(size) : NULL;
	if (repaired != NULL) {
		json_text_repair(value.at, value.size, repaired);
		text = json_object_new_string_len(repaired, (int)size);
	}
	free(repaired);
	return text;
}

/* Add a field, if a run knows it. Returns 0, or -1 without memory. */
static int
add(struct json_object *object, struct span name, struct span value)
{
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		struct json_object *one;

		if (!equals(name, fields[i].name))
			continue;
		/* Any other value stays a text, which the request's check refuses. */
		if (fields[i].is_boolean && (equals(value, "true") || equals(value, "1")))
			one = json_object_new_boolean(true);
		else if (fields[i].is_boolean && (equals(value, "false") || equals(value, "0") || value.size == 0))
			one = json_object_new_boolean(false);
		else
			one = text_of(value);
		return one == NULL ? -1 : json_object_object_add(object, fields[i].name, one);
	}
	return 0;
}

static int
hex(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode %XX and '+' into `to`, which has room for all of it. Returns what is there then. */
static struct span
decode(struct span in, char *to)
{
	size_t size = 0;

	for (size_t i = 0; i < in.size; i++) {
		int high = in.at[i] == '%' && in.size - i > 2 ? hex(in.at[i + 1]) : -1;
		int low = high >= 0 ? hex(in.at[i + 2]) : -1;

		if (low >= 0) {
			to[size++] = (char)(high * 16 + low);
			i += 2;
		} else {
			to[size++] = in.at[i] == '+' ? ' ' : in.at[i];
		}
	}
	return (struct span){ to, size };
}

/* The part of `text` before the first `c`; *rest is what follows it. */
static struct span
cut(struct span text, char c, struct span *rest)
{
	const char *found = text.size > 0 ? memchr(text.at, c, text.size) : NULL;
	size_t size = found == NULL ? text.size : (size_t)(found - text.at);

	*rest = found == NULL ? (struct span){ text.at + size, 0 } : (struct span){ found + 1, text.size - size - 1 };
	return (struct span){ text.at, size };
}

/* Whether a body is name=value pairs: the first of them has a name of ordinary characters. */
static bool
is_pairs(struct span body)
{
	size_t name = 0;

	while (name < body.size && body.at[name] != '\0' &&
	    (isalnum((unsigned char)body.at[name]) || strchr("_-.%+", body.at[name]) != NULL))
		name++;
	return name > 0 && name < body.size && body.at[name] == '=';
}

static int
take_pairs(struct json_object *object, struct span body)
{
	char *decoded = malloc(body.size);
	int result = decoded == NULL ? -1 : 0;

	while (result == 0 && body.size > 0) {
		struct span value, pair = cut(body, '&', &body), name = cut(pair, '=', &value);

		name = decode(name, decoded);
		result = add(object, name, decode(value, decoded + name.size));
	}
	free(decoded);
	return result;
}

/* The value of name="..." in the header lines of a part; an empty text without one. */
static struct span
part_name(struct span header)
{
	static const char key[] = "name=\"";
	const char *at = header.at, *end = header.at + header.size;

	while ((at = memmem(at, (size_t)(end - at), key, sizeof key - 1)) != NULL) {
		struct span rest, value = { at + sizeof key - 1, (size_t)(end - at) - (sizeof key - 1) };

		/* Not that of filename="...". */
		if (at == header.at || !isalnum((unsigned char)at[-1]))
			return cut(value, '"', &rest);
		at += sizeof key - 1;
	}
	return (struct span){ "", 0 };
}

/*
 * A multipart body starts with its boundary, so its Content-Type is not needed. Returns 1 if it has
 * no such form.
 */
static int
take_parts(struct json_object *object, struct span body)
{
	char separator[BOUNDARY_MAX + 2] = "\r\n";
	struct span first, rest;
	size_t length;

	first = cut(body, '\r', &rest);
	if (first.size <= 2 || first.size > BOUNDARY_MAX || rest.size == 0 || rest.at[0] != '\n')
		return 1;
	memcpy(separator + 2, first.at, first.size);
	length = first.size + 2;
	rest = (struct span){ rest.at + 1, rest.size - 1 };
	while (rest.size > 0) {
		const char *end = memmem(rest.at, rest.size, separator, length), *blank;
		struct span part = { rest.at, end == NULL ? 0 : (size_t)(end - rest.at) }, value;

		if (end == NULL)
			return 1;
		blank = memmem(part.at, part.size, "\r\n\r\n", 4);
		if (blank == NULL)
			return 1;
		value = (struct span){ blank + 4, (size_t)(end - blank) - 4 };
		if (add(object, part_name((struct span){ part.at, (size_t)(blank - part.at) }), value) != 0)
			return -1;
		rest = (struct span){ end + length, (size_t)(rest.at + rest.size - end) - length };
		if (rest.size >= 2 && memcmp(rest.at, "--", 2) == 0)
			return 0;
		if (rest.size < 2 || memcmp(rest.at, "\r\n", 2) != 0)
			return 1;
		rest = (struct span){ rest.at + 2, rest.size - 2 };
	}
	return 1;
}

struct json_object *
form_parse(const char *body, size_t size)
{
	struct json_object *object = json_object_new_object();
	struct span all = { body, size };
	int result = 1;

	if (object == NULL)
		return NULL;
	if (size > 2 && memcmp(body, "--", 2) == 0)
		result = take_parts(object, all);
	else if (is_pairs(all))
		result = take_pairs(object, all);
	if (result == 0)
		return object;
	json_object_put(object);
	return NULL;
}
