/*
 * conf_file.c - see conf_file.h.
 *
 * This file reads the text itself, and libconfig only parses it, for two reasons. The contents go
 * into a digest, and an @include would bring in a file that the digest does not cover; so it is an
 * error. And libconfig (1.5 at least) silently truncates a number that needs more than 32 bits:
 * 5368709120 becomes 1073741824. Only a number with the suffix L is safe, so every number is given
 * one.
 */
#define _GNU_SOURCE
#include "conf_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_syntax.h"
#include "log.h"

#define FILE_BYTES ((size_t)1 << 20) /* the largest file */
#define SYNTAX_BYTES 384             /* of a message */

static const char INCLUDE[] = "@include";

static void
digest_add(uint64_t *digest, const void *data, size_t size)
{
	const unsigned char *byte = data;

	for (size_t i = 0; i < size; i++) {
		*digest ^= byte[i];
		*digest *= UINT64_C(0x100000001b3);
	}
}

/*
 * Read a regular file. Returns its bytes, with room for one more, for free(3); or NULL with errno.
 */
static char *
file_read(const char *path, size_t *size)
{
	struct stat st;
	char *data;
	size_t at = 0;
	ssize_t n;
	int fd, saved;

	/* Without O_NONBLOCK, opening a FIFO would block the start. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) != 0)
		goto fail;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		goto fail;
	}
	if ((size_t)st.st_size > FILE_BYTES) {
		errno = EFBIG;
		goto fail;
	}
	data = malloc((size_t)st.st_size + 1);
	if (data == NULL)
		goto fail;
	while ((n = read(fd, data + at, (size_t)st.st_size - at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(data);
			goto fail;
		}
		at += (size_t)n;
	}
	close(fd);
	*size = at;
	return data;

fail:
	saved = errno;
	close(fd);
	errno = saved;
	return NULL;
}

static bool
is_integer(const char *word, size_t length)
{
	bool hex = length > 2 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X');

	for (size_t i = hex ? 2 : 0; i < length; i++) {
		if (!(hex ? isxdigit((unsigned char)word[i]) : isdigit((unsigned char)word[i])))
			return false;
	}
	return true;
}

/*
 * Returns a copy of `text` with the suffix L on every integer; or NULL with *include_line set, if
 * it has an @include.
 */
static char *
widen_integers(const char *text, unsigned *include_line)
{
	char *wide = malloc(2 * strlen(text) + 1);
	unsigned line = 1;
	size_t at = 0;

	if (wide == NULL)
		die("out of memory");
	while (*text != '\0') {
		size_t length = conf_syntax_quoted(text);
		bool integer = false;

		if (length == 0 && strncmp(text, INCLUDE, sizeof INCLUDE - 1) == 0) {
			*include_line = line;
			free(wide);
			return NULL;
		}
		if (length == 0 && (isalnum((unsigned char)*text) || *text == '*')) {
			/*
			 * A name, an integer, or a float; the point of a float is part of the word,
			 * so it is no integer.
			 */
			while (isalnum((unsigned char)text[length]) || (text[length] != '\0' && strchr("*_-.+", text[length])))
				length++;
			integer = is_integer(text, length);
		}
		if (length == 0)
			length = 1;
		for (size_t i = 0; i < length; i++)
			line += text[i] == '\n';
		memcpy(wide + at, text, length);
		at += length;
		text += length;
		if (integer)
			wide[at++] = 'L';
	}
	wide[at] = '\0';
	return wide;
}

char *
conf_strdup(const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		die("out of memory");
	return copy;
}

/*
 * Read `path` (for the digest see conf_file_open). Returns its text, for free(3), or NULL. *wide
 * becomes the text for libconfig, for free(3), too.
 */
static char *
text_load(const char *path, uint64_t *digest, char **wide, char *error, size_t error_size)
{
	uint64_t length;
	unsigned include_line;
	char *data;
	size_t size;

	data = file_read(path, &size);
	if (data == NULL) {
		snprintf(error, error_size, "%s: cannot read the file: %s", path, strerror(errno));
		return NULL;
	}
	if (digest != NULL) {
		length = size;
		digest_add(digest, &length, sizeof length); /* or text could move between two files unnoticed */
		digest_add(digest, data, size);
	}
	data[size] = '\0';
	if (strlen(data) != size) {
		snprintf(error, error_size, "%s: the file contains a NUL byte; allowed: text", path);
		free(data);
		return NULL;
	}
	*wide = widen_integers(data, &include_line);
	if (*wide != NULL)
		return data;
	snprintf(error, error_size, "%s:%u: %s is not allowed here", path, include_line, INCLUDE);
	free(data);
	return NULL;
}

/* The absolute path of the directory of `path`, for free(3); or NULL with errno. */
static char *
directory_of(const char *path)
{
	char *directory = conf_strdup(path), *slash = strrchr(directory, '/'), *absolute;

	if (slash != NULL)
		slash[slash == directory] = '\0';
	absolute = realpath(slash != NULL ? directory : ".", NULL);
	free(directory);
	return absolute;
}

/* Set the file's error to why libconfig refuses `text`. */
static void
explain_syntax(const struct conf_file *file, const char *text)
{
	char message[SYNTAX_BYTES];
	unsigned line;

	if (conf_syntax_explain(text, &line, message, sizeof message) != 0) {
		line = (unsigned)config_error_line(&file->parsed);
		snprintf(message, sizeof message, "%s", config_error_text(&file->parsed));
	}
	snprintf(file->error, file->error_size, "%s:%u: %s", file->path, line, message);
}

int
conf_file_open(struct conf_file *file, const char *path, uint64_t *digest, char *error, size_t error_size)
{
	char *wide, *text = text_load(path, digest, &wide, error, error_size);

	if (text == NULL)
		return -1;
	*file = (struct conf_file){ .path = path, .directory = directory_of(path), .error = error, .error_size = error_size };
	config_init(&file->parsed);
	if (file->directory == NULL)
		snprintf(error, error_size, "%s: cannot find its directory: %s", path, strerror(errno));
	else if (!config_read_string(&file->parsed, wide))
		explain_syntax(file, text);
	else {
		free(wide);
		free(text);
		return 0;
	}
	free(wide);
	free(text);
	conf_file_close(file);
	return -1;
}

void
conf_file_close(struct conf_file *file)
{
	config_destroy(&file->parsed);
	free(file->directory);
}

int
conf_file_fail(const struct conf_file *file, const config_setting_t *at, const char *format, ...)
{
	unsigned line = config_setting_source_line(at);
	va_list args;
	int n;

	/* The root setting has no line: report line 1 for a key that is missing there. */
	n = snprintf(file->error, file->error_size, "%s:%u: ", file->path, line > 0 ? line : 1);
	if (n < 0 || (size_t)n >= file->error_size)
		return -1;
	va_start(args, format);
	vsnprintf(file->error + n, file->error_size - (size_t)n, format, args);
	va_end(args);
	/* Text quoted from the file must not break the line. */
	for (char *c = file->error + n; *c != '\0'; c++) {
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	}
	return -1;
}

const char *
conf_file_where(const config_setting_t *setting, char *text, size_t size)
{
	const config_setting_t *parent = config_setting_parent(setting);
	size_t at;

	text[0] = '\0';
	if (parent == NULL)
		return text;
	conf_file_where(parent, text, size);
	at = strlen(text);
	if (config_setting_name(setting) != NULL)
		snprintf(text + at, size - at, "%s%s", at > 0 ? "." : "", config_setting_name(setting));
	else
		snprintf(text + at, size - at, "[%d]", config_setting_index(setting));
	return text;
}

unsigned
conf_list_count(const config_setting_t *group, const char *name)
{
	const config_setting_t *list = config_setting_get_member(group, name);

	return list != NULL ? (unsigned)config_setting_length(list) : 0;
}

const config_setting_t *
conf_list_element(const config_setting_t *group, const char *name, unsigned index)
{
	return config_setting_get_elem(config_setting_get_member(group, name), index);
}
