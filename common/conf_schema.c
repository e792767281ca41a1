/* conf_schema.c - see conf_schema.h. */
#define _GNU_SOURCE
#include "conf_schema.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define TEXT_BYTES 512 /* of a part of a message */
#define NAME_BYTES 31  /* fits PROTO_NAME_SIZE with its NUL */

static bool
is_name(const char *text)
{
	size_t length = strlen(text);

	if (length == 0 || length > NAME_BYTES || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)text[i]) && strchr("._+#-", text[i]) == NULL)
			return false;
	}
	return true;
}

static bool
is_absolute(const char *text)
{
	return text[0] == '/';
}

const struct conf_form conf_form_name = { is_name, "up to 31 letters, digits and ._+#-, the first a letter or digit" };
const struct conf_form conf_form_absolute = { is_absolute, "an absolute path" };

/* Append to `text` as much as fits. */
static void __attribute__((format(printf, 3, 4))) append(char *text, size_t size, const char *format, ...)
{
	size_t at = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + at, size - at, format, args);
	va_end(args);
}

/* The allowed values of `key`, in words. */
static const char *
allowed(const struct conf_key *key, char *text, size_t size)
{
	const char *form = key->form != NULL ? key->form->allowed : "any text";

	text[0] = '\0';
	switch (key->type) {
	case CONF_UINT32:
	case CONF_UINT64:
		append(text, size, "%" PRIu64 " to %" PRIu64, key->min, key->max);
		break;
	case CONF_BOOL:
		append(text, size, "true, false");
		break;
	case CONF_CHOICE:
		for (const char *const *word = key->choices; *word != NULL; word++)
			append(text, size, "%s\"%s\"", word > key->choices ? ", " : "", *word);
		break;
	case CONF_MOVED:
		append(text, size, "%s", key->string);
		break;
	case CONF_STRING:
		append(text, size, "%s, in quotes, 1 to %" PRIu64 " bytes", form, key->max);
		break;
	case CONF_PATH:
		append(text, size, "a path in quotes, 1 to %" PRIu64 " bytes as an absolute path", key->max);
		break;
	case CONF_STRINGS:
		append(text, size, "[...] with %" PRIu64 " to %" PRIu64 " elements: %s, in quotes", key->min, key->max, form);
		break;
	case CONF_GROUP:
		append(text, size, "a group { ... }");
		break;
	case CONF_LIST:
		append(text, size, "( { ... }, ... ) with %" PRIu64 " to %" PRIu64 " groups", key->min, key->max);
		break;
	}
	return text;
}

static int __attribute__((format(printf, 4, 5)))
fail(const struct conf_file *file, const config_setting_t *at, const struct conf_key *key, const char *format, ...)
{
	char where[TEXT_BYTES], problem[TEXT_BYTES], range[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(problem, sizeof problem, format, args);
	va_end(args);
	return conf_file_fail(file, at, "%s: %s; allowed: %s", conf_file_where(at, where, sizeof where), problem,
	    allowed(key, range, sizeof range));
}

static int
read_number(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *key, void *member)
{
	long long value;

	if (config_setting_type(setting) != CONFIG_TYPE_INT && config_setting_type(setting) != CONFIG_TYPE_INT64)
		return fail(file, setting, key, "is not a whole number");
	value = config_setting_get_int64(setting);
	if (value < 0 || (uint64_t)value < key->min || (uint64_t)value > key->max)
		return fail(file, setting, key, "%lld is out of range", value);
	if (key->type == CONF_UINT32)
		*(uint32_t *)member = (uint32_t)value;
	else
		*(uint64_t *)member = (uint64_t)value;
	return 0;
}

static int
read_choice(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *key, void *member)
{
	const char *text = config_setting_get_string(setting);

	if (text == NULL)
		return fail(file, setting, key, "is not a string");
	for (unsigned i = 0; key->choices[i] != NULL; i++) {
		if (strcmp(text, key->choices[i]) == 0) {
			*(unsigned *)member = i;
			return 0;
		}
	}
	return fail(file, setting, key, "\"%.64s\" is unknown", text);
}

/* The string of `setting`, if `key` allows it; or NULL with the error set. */
static const char *
check_string(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *key)
{
	const char *text = config_setting_get_string(setting);

	if (text == NULL) {
		fail(file, setting, key, "is not a string");
		return NULL;
	}
	/* No configured text may break a line of the log or end an argument early. */
	for (const char *c = text; *c != '\0'; c++) {
		if (iscntrl((unsigned char)*c)) {
			fail(file, setting, key, "contains a control character");
			return NULL;
		}
	}
	if (text[0] == '\0' || (key->form != NULL && !key->form->fits(text))) {
		fail(file, setting, key, "\"%.64s\" is malformed", text);
		return NULL;
	}
	return text;
}

/* `path` made absolute, relative to the file's directory; for free(3). */
static char *
absolute(const struct conf_file *file, const char *path)
{
	char *copy;

	if (path[0] == '/')
		return conf_strdup(path);
	if (asprintf(&copy, "%s/%s", strcmp(file->directory, "/") == 0 ? "" : file->directory, path) < 0)
		die("out of memory");
	return copy;
}

static int
read_string(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *key, char **member)
{
	const char *text = check_string(file, setting, key);
	char *copy;

	if (text == NULL)
		return -1;
	copy = key->type == CONF_PATH ? absolute(file, text) : conf_strdup(text);
	if (strlen(copy) > key->max) {
		free(copy);
		return fail(file, setting, key, "is too long");
	}
	free(*member);
	*member = copy;
	return 0;
}

static void
free_strings(struct strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->item[i]);
	free(list->item);
	*list = (struct strings){ NULL, 0 };
}

static int
read_strings(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *key, struct strings *member)
{
	unsigned count;

	if (!config_setting_is_array(setting) && !config_setting_is_list(setting))
		return fail(file, setting, key, "is not a list of strings");
	count = (unsigned)config_setting_length(setting);
	if (count < key->min || count > key->max)
		return fail(file, setting, key, "has %u elements", count);
	free_strings(member);
	if (count == 0)
		return 0;
	member->item = calloc(count, sizeof *member->item);
	if (member->item == NULL)
		die("out of memory");
	for (unsigned i = 0; i < count; i++) {
		const char *text = check_string(file, config_setting_get_elem(setting, i), key);

		if (text == NULL)
			return -1;
		member->item[member->count++] = conf_strdup(text);
	}
	return 0;
}

static int
check_list(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *key)
{
	unsigned count;

	/* libconfig cannot tell an empty list of groups from one of anything else. */
	if (!config_setting_is_list(setting))
		return fail(file, setting, key, "is not a list of groups");
	count = (unsigned)config_setting_length(setting);
	if (count < key->min || count > key->max)
		return fail(file, setting, key, "has %u elements", count);
	for (unsigned i = 0; i < count; i++) {
		if (!config_setting_is_group(config_setting_get_elem(setting, i)))
			return fail(file, setting, key, "element %u is not a group", i);
	}
	return 0;
}

/* A limit that was one number has a default and a maximum in its new place. */
static int
fail_moved(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *key)
{
	char where[TEXT_BYTES];

	conf_file_where(setting, where, sizeof where);
	return conf_file_fail(file, setting, "%s has moved; allowed: %s = { default = ...; maximum = ...; }", where, key->string);
}

static int
read_key(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *key, void *member)
{
	switch (key->type) {
	case CONF_UINT32:
	case CONF_UINT64:
		return read_number(file, setting, key, member);
	case CONF_BOOL:
		if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
			return fail(file, setting, key, "is not a boolean");
		*(bool *)member = config_setting_get_bool(setting);
		return 0;
	case CONF_CHOICE:
		return read_choice(file, setting, key, member);
	case CONF_STRING:
	case CONF_PATH:
		return read_string(file, setting, key, member);
	case CONF_STRINGS:
		return read_strings(file, setting, key, member);
	case CONF_GROUP:
		if (!config_setting_is_group(setting))
			return fail(file, setting, key, "is not a group");
		return conf_schema_read(file, setting, key->keys, member);
	case CONF_LIST:
		return check_list(file, setting, key);
	case CONF_MOVED:
		return fail_moved(file, setting, key);
	}
	return -1;
}

static int
fail_unknown(const struct conf_file *file, const config_setting_t *setting, const struct conf_key *keys)
{
	char where[TEXT_BYTES], names[TEXT_BYTES] = "";

	conf_file_where(config_setting_parent(setting), where, sizeof where);
	for (const struct conf_key *key = keys; key->name != NULL; key++)
		if (key->type != CONF_MOVED)
			append(names, sizeof names, "%s%s", names[0] != '\0' ? ", " : "", key->name);
	return conf_file_fail(file, setting, "unknown key \"%.64s\"%s%s; allowed: %s", config_setting_name(setting),
	    where[0] != '\0' ? " in " : "", where, names);
}

int
conf_schema_read(const struct conf_file *file, const config_setting_t *group, const struct conf_key *keys, void *into)
{
	unsigned count = (unsigned)config_setting_length(group);

	for (unsigned i = 0; i < count; i++) {
		const config_setting_t *setting = config_setting_get_elem(group, i);
		const struct conf_key *key = keys;

		while (key->name != NULL && strcmp(key->name, config_setting_name(setting)) != 0)
			key++;
		if (key->name == NULL)
			return fail_unknown(file, setting, keys);
		if (read_key(file, setting, key, (char *)into + key->offset) != 0)
			return -1;
	}
	for (const struct conf_key *key = keys; key->name != NULL; key++) {
		char where[TEXT_BYTES], range[TEXT_BYTES];

		if (!key->required || config_setting_get_member(group, key->name) != NULL)
			continue;
		conf_file_where(group, where, sizeof where);
		return conf_file_fail(file, group, "%s%s%s is missing; allowed: %s", where, where[0] != '\0' ? "." : "",
		    key->name, allowed(key, range, sizeof range));
	}
	return 0;
}

void
conf_schema_defaults(const struct conf_file *file, const struct conf_key *keys, void *into)
{
	for (const struct conf_key *key = keys; key->name != NULL; key++) {
		void *member = (char *)into + key->offset;

		switch (key->type) {
		case CONF_UINT32:
			*(uint32_t *)member = (uint32_t)key->number;
			break;
		case CONF_UINT64:
			*(uint64_t *)member = key->number;
			break;
		case CONF_BOOL:
			*(bool *)member = key->number != 0;
			break;
		case CONF_CHOICE:
			*(unsigned *)member = (unsigned)key->number;
			break;
		case CONF_STRING:
			if (key->string != NULL)
				*(char **)member = conf_strdup(key->string);
			break;
		case CONF_PATH:
			if (key->string != NULL)
				*(char **)member = absolute(file, key->string);
			break;
		case CONF_GROUP:
			conf_schema_defaults(file, key->keys, member);
			break;
		case CONF_STRINGS:
		case CONF_LIST:
		case CONF_MOVED:
			break;
		}
	}
}

void
conf_schema_free(const struct conf_key *keys, void *into)
{
	for (const struct conf_key *key = keys; key->name != NULL; key++) {
		void *member = (char *)into + key->offset;

		switch (key->type) {
		case CONF_STRING:
		case CONF_PATH:
			free(*(char **)member);
			*(char **)member = NULL;
			break;
		case CONF_STRINGS:
			free_strings(member);
			break;
		case CONF_GROUP:
			conf_schema_free(key->keys, member);
			break;
		case CONF_UINT32:
		case CONF_UINT64:
		case CONF_BOOL:
		case CONF_CHOICE:
		case CONF_LIST:
		case CONF_MOVED:
			break;
		}
	}
}
