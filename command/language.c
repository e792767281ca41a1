/* language.c - see language.h. */
#define _GNU_SOURCE
#include "language.h"

#include <string.h>
#include <strings.h>

#define LINE_SIZE 256

/* Ends of file names, without the dot. */
static const struct {
	const char *ending, *language;
} endings[] = {
	{ "awk", "awk" },
	{ "sh", "bash" },
	{ "bash", "bash" },
	{ "c", "c" },
	{ "cc", "cpp" },
	{ "cpp", "cpp" },
	{ "cxx", "cpp" },
	{ "cs", "csharp" },
	{ "f90", "fortran" },
	{ "f95", "fortran" },
	{ "f03", "fortran" },
	{ "f08", "fortran" },
	{ "go", "go" },
	{ "hs", "haskell" },
	{ "java", "java" },
	{ "lua", "lua" },
	{ "cjs", "nodejs" },
	{ "js", "nodejs" },
	{ "mjs", "nodejs" },
	{ "ml", "ocaml" },
	{ "pas", "pascal" },
	{ "pp", "pascal" },
	{ "pl", "perl" },
	{ "php", "php" },
	{ "py", "python3" },
	{ "r", "r" },
	{ "rb", "ruby" },
	{ "rs", "rust" },
	{ "sql", "sqlite3" },
	{ "tcl", "tcl" },
};

/* Names of interpreters, without a version at their end. */
static const struct {
	const char *interpreter, *language;
} interpreters[] = {
	{ "awk", "awk" },
	{ "gawk", "awk" },
	{ "mawk", "awk" },
	{ "bash", "bash" },
	{ "sh", "bash" },
	{ "lua", "lua" },
	{ "node", "nodejs" },
	{ "nodejs", "nodejs" },
	{ "perl", "perl" },
	{ "php", "php" },
	{ "python", "python3" },
	{ "Rscript", "r" },
	{ "ruby", "ruby" },
	{ "tclsh", "tcl" },
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* The next word of a line, and its length; the line goes on behind it. */
static const char *
next_word(const char **line, size_t *length)
{
	const char *word = *line + strspn(*line, " \t");

	*length = strcspn(word, " \t\r");
	*line = word + *length;
	return word;
}

/* "#!/usr/bin/env -S python3.11 -u": the word that names the interpreter. */
static const char *
interpreter_of(const char *line, size_t *length)
{
	const char *word = next_word(&line, length), *slash = memrchr(word, '/', *length);

	if (slash != NULL) {
		*length -= (size_t)(slash + 1 - word);
		word = slash + 1;
	}
	if (*length != 3 || memcmp(word, "env", 3) != 0)
		return word;
	do {
		word = next_word(&line, length);
	} while (*length > 0 && (*word == '-' || memchr(word, '=', *length) != NULL));
	return word;
}

static const char *
guess_by_line(const char *text, size_t size)
{
	char line[LINE_SIZE];
	const char *end, *word;
	size_t length;

	if (size < 2 || memcmp(text, "#!", 2) != 0)
		return NULL;
	end = memchr(text, '\n', size);
	length = (end != NULL ? (size_t)(end - text) : size) - 2;
	if (length >= sizeof line)
		return NULL;
	memcpy(line, text + 2, length);
	line[length] = '\0';
	word = interpreter_of(line, &length);
	while (length > 0 && strchr("0123456789.", word[length - 1]) != NULL)
		length--;
	for (size_t i = 0; i < COUNT(interpreters); i++) {
		if (strlen(interpreters[i].interpreter) == length && memcmp(interpreters[i].interpreter, word, length) == 0)
			return interpreters[i].language;
	}
	return NULL;
}

const char *
language_guess(const char *path, const char *text, size_t size)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash != NULL ? slash : path, '.');

	for (size_t i = 0; dot != NULL && i < COUNT(endings); i++) {
		if (strcasecmp(endings[i].ending, dot + 1) == 0)
			return endings[i].language;
	}
	return guess_by_line(text, size);
}
