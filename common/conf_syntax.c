/*
 * conf_syntax.c - see conf_syntax.h. A parser of libconfig's grammar that keeps nothing. It runs
 * only on a text that libconfig has refused, so that a difference between the two can only make a
 * message worse.
 */
#define _GNU_SOURCE
#include "conf_syntax.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 16  /* of groups and lists in each other; no file of ours needs more */
#define WORD_BYTES 40 /* of the file, in a message */
#define PATH_BYTES 256

/* A group, a list or an array that is open. */
struct level {
	const char *name; /* of the setting whose value it is; NULL: an element of a list */
	size_t name_length;
	unsigned line, indent; /* where it begins; the indent of that line */
};

struct reader {
	const char *text, *at;
	unsigned line;
	struct level level[DEPTH_MAX];
	unsigned depth;
	/*
	 * The first key that is indented no more than the open group around it; no name: there is
	 * none. The group is the level `early_depth - 1`.
	 */
	struct level early;
	unsigned early_depth;
	unsigned comma_line; /* of a comma before a closing ) or ], which not every libconfig takes */
	unsigned *fault_line;
	char *message;
	size_t size;
};

size_t
conf_syntax_quoted(const char *text)
{
	const char *end;

	if (text[0] == '"') {
		for (end = text + 1; *end != '\0' && *end != '"'; end++) {
			if (end[0] == '\\' && end[1] != '\0')
				end++;
		}
		return (size_t)(end - text) + (*end != '\0');
	}
	if (text[0] == '#' || (text[0] == '/' && text[1] == '/'))
		return strcspn(text, "\n");
	if (text[0] == '/' && text[1] == '*') {
		end = strstr(text + 2, "*/");
		return end != NULL ? (size_t)(end - text) + 2 : strlen(text);
	}
	return 0;
}

static void
advance(struct reader *reader, size_t length)
{
	for (size_t i = 0; i < length; i++)
		reader->line += reader->at[i] == '\n';
	reader->at += length;
}

/* Skip white space and comments. Returns the next byte. */
static char
next(struct reader *reader)
{
	for (;;) {
		size_t length = strspn(reader->at, " \t\r\n\f\v");

		if (length == 0 && *reader->at != '"')
			length = conf_syntax_quoted(reader->at);
		if (length == 0)
			return *reader->at;
		advance(reader, length);
	}
}

/* ---- messages ------------------------------------------------------------------------------- */

/* The names of the open groups, and that of a setting in them: "runner.cells". */
static const char *
path_of(const struct reader *reader, char path[PATH_BYTES])
{
	size_t at = 0;

	path[0] = '\0';
	for (unsigned i = 0; i < reader->depth; i++) {
		const struct level *level = &reader->level[i];

		if (level->name == NULL || at >= PATH_BYTES)
			continue;
		at += (size_t)snprintf(path + at, PATH_BYTES - at, "%s%.*s", at > 0 ? "." : "", (int)level->name_length,
		    level->name);
	}
	return path;
}

static int __attribute__((format(printf, 3, 4))) fault(struct reader *reader, unsigned line, const char *format, ...)
{
	char path[PATH_BYTES];
	va_list args;
	int n;

	*reader->fault_line = line;
	path_of(reader, path);
	n = snprintf(reader->message, reader->size, "syntax error%s%s: ", path[0] != '\0' ? " in " : "", path);
	if (n < 0 || (size_t)n >= reader->size)
		return -1;
	va_start(args, format);
	vsnprintf(reader->message + n, reader->size - (size_t)n, format, args);
	va_end(args);
	for (char *c = reader->message; *c != '\0'; c++) {
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	}
	return -1;
}

/* The word at `at`, for a message. */
static const char *
seen(const char *at, char word[WORD_BYTES])
{
	size_t length = strcspn(at, " \t\r\n;,");

	if (*at == '\0')
		return "the end of the file";
	length = length == 0 ? 1 : length;
	snprintf(word, WORD_BYTES, "\"%.*s\"", (int)(length < WORD_BYTES - 3 ? length : WORD_BYTES - 3), at);
	return word;
}

/* ---- values --------------------------------------------------------------------------------- */

static bool
ends_in(const struct level *level, const char *suffix)
{
	size_t length = strlen(suffix);

	return level->name != NULL && level->name_length > length &&
	    strncmp(level->name + level->name_length - length, suffix, length) == 0;
}

/* The factor of a unit, for a setting that is counted in `suffix` ("_ms"); 0: unknown. */
static double
factor_of(const char *unit, size_t length, const char *suffix)
{
	static const struct {
		const char *suffix, *unit;
		double factor;
	} known[] = {
		{ "_bytes", "B", 1 },
		{ "_bytes", "K", 1 << 10 },
		{ "_bytes", "KB", 1 << 10 },
		{ "_bytes", "KiB", 1 << 10 },
		{ "_bytes", "M", 1 << 20 },
		{ "_bytes", "MB", 1 << 20 },
		{ "_bytes", "MiB", 1 << 20 },
		{ "_bytes", "G", 1 << 30 },
		{ "_bytes", "GB", 1 << 30 },
		{ "_bytes", "GiB", 1 << 30 },
		{ "_ms", "ms", 1 },
		{ "_ms", "s", 1000 },
		{ "_ms", "m", 60000 },
		{ "_ms", "min", 60000 },
		{ "_ms", "h", 3600000 },
		{ "_s", "s", 1 },
		{ "_s", "m", 60 },
		{ "_s", "min", 60 },
		{ "_s", "h", 3600 },
		{ "_percent", "%", 1 },
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strcmp(known[i].suffix, suffix) == 0 && strlen(known[i].unit) == length &&
		    strncasecmp(known[i].unit, unit, length) == 0)
			return known[i].factor;
	}
	return 0;
}

/* A number with something behind it: "256M", "10s". */
static int
unit_fault(struct reader *reader, const char *number, size_t digits, size_t length)
{
	static const char *const suffixes[] = { "_bytes", "_ms", "_s", "_percent" };
	double factor = 0, value = strtod(number, NULL);
	int shown = (int)(length < WORD_BYTES ? length : WORD_BYTES);

	for (unsigned i = reader->depth; i-- > 0 && factor == 0;) {
		for (size_t s = 0; s < sizeof suffixes / sizeof suffixes[0] && factor == 0; s++) {
			if (ends_in(&reader->level[i], suffixes[s]))
				factor = factor_of(number + digits, length - digits, suffixes[s]);
		}
	}
	if (factor > 0 && value * factor < 1e18)
		return fault(reader, reader->line, "\"%.*s\": a number has no unit; write %.0f", shown, number, value * factor);
	return fault(reader, reader->line, "\"%.*s\" is not a number; write digits only, without a unit", shown, number);
}

/* "64 * 1024" */
static int
arithmetic_fault(struct reader *reader, const char *number)
{
	const char *end = number;
	uint64_t value = strtoull(number, (char **)&end, 10), other;
	bool known = true;

	for (;;) {
		const char *operator= end + strspn(end, " \t"), *digits;

		if (*operator== '\0' || strchr("*+-", *operator) == NULL)
			break;
		digits = operator+ 1 + strspn(operator+ 1, " \t");
		if (!isdigit((unsigned char)*digits)) {
			known = false;
			break;
		}
		other = strtoull(digits, (char **)&end, 10);
		/* Without the precedence of *, only one kind of operator is understood. */
		if (*operator== '*')
			known = known && !__builtin_mul_overflow(value, other, &value);
		else
			known = false;
	}
	known = known && value <= INT64_MAX && strchr(" \t\r\n;,})", *end) != NULL;
	if (known)
		return fault(reader, reader->line, "\"%.*s\": nothing is computed here; write %" PRIu64, (int)(end - number),
		    number, value);
	return fault(reader, reader->line, "\"%.*s\": nothing is computed here; write the result as one number",
	    (int)strcspn(number, ";,\r\n"), number);
}

/* Skip the number at reader->at. */
static int
read_number(struct reader *reader)
{
	const char *number = reader->at;
	size_t digits = *number == '-' || *number == '+', length;
	char after;

	if (number[digits] == '0' && (number[digits + 1] == 'x' || number[digits + 1] == 'X'))
		digits += 2 + strspn(number + digits + 2, "0123456789abcdefABCDEF");
	else {
		digits += strspn(number + digits, "0123456789.");
		if ((number[digits] == 'e' || number[digits] == 'E') && strspn(number + digits + 1, "+-0123456789") > 0)
			digits += 1 + strspn(number + digits + 1, "+-0123456789");
	}
	length = digits + (number[digits] == 'L');
	length += number[digits] == 'L' && number[length] == 'L';
	if (isalnum((unsigned char)number[length]) || number[length] == '_' || number[length] == '%') {
		while (isalnum((unsigned char)number[length]) || number[length] == '_' || number[length] == '%')
			length++;
		return unit_fault(reader, number, digits, length);
	}
	after = number[length + strspn(number + length, " \t")];
	if (after != '\0' && strchr("*+-", after) != NULL)
		return arithmetic_fault(reader, number);
	advance(reader, length);
	return 0;
}

static int
read_string(struct reader *reader)
{
	do {
		size_t length = conf_syntax_quoted(reader->at);
		char word[WORD_BYTES];

		/* libconfig takes a string of several lines; no setting of ours may have one. */
		if (reader->at[length - 1] != '"' || length == 1 || memchr(reader->at, '\n', length) != NULL)
			return fault(reader, reader->line, "the string that begins with %s has no closing quote in its line",
			    seen(reader->at + 1, word));
		advance(reader, length);
	} while (next(reader) == '"');
	return 0;
}

/* A word that is not in quotes. */
static int
read_word(struct reader *reader)
{
	size_t length = strcspn(reader->at, " \t\r\n;,={}()[]\"");
	int shown = (int)(length < WORD_BYTES ? length : WORD_BYTES);
	const char *word = reader->at, *after;
	unsigned line = reader->line;

	if ((length == 4 && strncasecmp(word, "true", length) == 0) || (length == 5 && strncasecmp(word, "false", length) == 0)) {
		advance(reader, length);
		return 0;
	}
	for (after = word + length; *after == ' ' || *after == '\t'; after++)
		continue;
	if (*after == '=')
		return fault(reader, line, "a value is expected before \"%.*s\"", shown, word);
	if ((length == 2 && strncasecmp(word, "no", length) == 0) || (length == 3 && strncasecmp(word, "yes", length) == 0))
		return fault(reader, line, "\"%.*s\" is no value; write %s", shown, word, length == 2 ? "false" : "true");
	return fault(reader, line, "\"%.*s\" is no value; write a text in double quotes, a number in digits, or true or false",
	    shown, word);
}

/* ---- groups, lists, arrays ------------------------------------------------------------------ */

static int read_value(struct reader *reader);

/* The indent of the line with reader->at, if that is the first thing in it; else UINT32_MAX. */
static unsigned
indent_here(const struct reader *reader)
{
	const char *start = reader->at;

	while (start > reader->text && (start[-1] == ' ' || start[-1] == '\t'))
		start--;
	return start == reader->text || start[-1] == '\n' ? (unsigned)(reader->at - start) : UINT32_MAX;
}

/*
 * Enter the value of `name`, or an element of a list. Returns -1, without a fault, if it is too
 * deep.
 */
static int
enter(struct reader *reader, const char *name, size_t name_length, unsigned indent)
{
	if (reader->depth == DEPTH_MAX)
		return -1;
	reader->level[reader->depth++] = (struct level){ name, name_length, reader->line, indent };
	return 0;
}

/* The end of the file in a group, list or array. */
static int
unclosed(struct reader *reader, unsigned line, char close)
{
	if (reader->early.name != NULL && close == '}') {
		const struct level *early = &reader->early, *group = &reader->level[reader->early_depth - 1];

		reader->depth = 0;
		return fault(reader, early->line,
		    "a } is missing before \"%.*s\": the group \"%.*s\" of line %u is still open there", (int)early->name_length,
		    early->name, (int)group->name_length, group->name, group->line);
	}
	return fault(reader, line, "this has no closing %c", close);
}

/* Note a key that is indented no more than the line in which its group begins. */
static void
note_early(struct reader *reader, const char *name, size_t length, unsigned indent)
{
	const struct level *group = &reader->level[reader->depth - 1];

	if (reader->early.name != NULL || indent == UINT32_MAX || indent > group->indent || group->indent == UINT32_MAX)
		return;
	reader->early = (struct level){ name, length, reader->line, indent };
	reader->early_depth = reader->depth;
}

/* The settings of a group, up to `close`; or of the file, up to its end. */
static int
read_settings(struct reader *reader, char close)
{
	unsigned opened = reader->line;
	char word[WORD_BYTES], c;

	while ((c = next(reader)) != close) {
		const char *name = reader->at;
		size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-*");
		unsigned indent = indent_here(reader);

		if (c == '\0')
			return unclosed(reader, opened, close);
		if (c == '}' || c == ')' || c == ']')
			return fault(reader, reader->line,
			    close == '\0' ? "%s closes nothing: no group or list is open here" : "%s is in the place of a }",
			    seen(name, word));
		if (c == ';' || c == ',')
			return fault(reader, reader->line, "nothing is before this %s", seen(name, word));
		if (!isalpha((unsigned char)c) && c != '*')
			return fault(reader, reader->line, "the name of a key is expected, not %s", seen(name, word));
		if (reader->depth > 0)
			note_early(reader, name, length, indent);
		if (enter(reader, name, length, indent) != 0)
			return -1;
		advance(reader, length);
		c = next(reader);
		if (c != '=' && c != ':')
			return fault(reader, reader->line, "= is expected, not %s", seen(reader->at, word));
		advance(reader, 1);
		if (read_value(reader) != 0)
			return -1;
		reader->depth--;
		c = next(reader);
		if (c == ';' || c == ',')
			advance(reader, 1);
	}
	return 0;
}

static int
read_elements(struct reader *reader, char close)
{
	unsigned opened = reader->line, comma_line;
	char word[WORD_BYTES], c = next(reader);

	while (c != close) {
		if (c == '\0')
			return unclosed(reader, opened, close);
		if (enter(reader, NULL, 0, UINT32_MAX) != 0 || read_value(reader) != 0)
			return -1;
		reader->depth--;
		c = next(reader);
		if (c == ',') {
			advance(reader, 1);
			comma_line = reader->line;
			c = next(reader);
			if (c == close)
				reader->comma_line = comma_line;
		} else if (c == '\0') {
			return unclosed(reader, opened, close);
		} else if (c != close) {
			return fault(reader, reader->line, ", or %c is expected, not %s", close, seen(reader->at, word));
		}
	}
	return 0;
}

static int
read_value(struct reader *reader)
{
	char word[WORD_BYTES], c = next(reader), close;

	if (c == '"')
		return read_string(reader);
	if (isdigit((unsigned char)c) || ((c == '-' || c == '+' || c == '.') && isdigit((unsigned char)reader->at[1])))
		return read_number(reader);
	if (c == '\'')
		return fault(reader, reader->line, "%s: write a text in double quotes", seen(reader->at, word));
	if (isalpha((unsigned char)c) || c == '/' || c == '.' || c == '~')
		return read_word(reader);
	close = c == '{' ? '}' : c == '(' ? ')' : c == '[' ? ']' : '\0';
	if (close == '\0')
		return fault(reader, reader->line, "a value is expected, not %s", seen(reader->at, word));
	advance(reader, 1);
	if ((close == '}' ? read_settings(reader, close) : read_elements(reader, close)) != 0)
		return -1;
	advance(reader, 1);
	/* The group was closed after all: its keys are not indented. */
	if (reader->early_depth >= reader->depth)
		reader->early.name = NULL;
	return 0;
}

int
conf_syntax_explain(const char *text, unsigned *line, char *message, size_t size)
{
	struct reader reader = { .text = text, .at = text, .line = 1, .fault_line = line, .message = message, .size = size };

	message[0] = '\0';
	if (read_settings(&reader, '\0') == 0 && reader.comma_line > 0)
		fault(&reader, reader.comma_line, "the last element of a list or array has a comma after it");
	return message[0] != '\0' ? 0 : -1;
}
