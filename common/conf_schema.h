/*
 * conf_schema.h - reads a libconfig file by a table: one row per key, with its type, range and
 * default.
 *
 * The same table fills a struct with the defaults, reads a group of the file over them, and frees
 * the struct. A key that is not in the table is an error, and the message lists the allowed ones.
 */
#ifndef CELLBLOCK_CONF_SCHEMA_H
#define CELLBLOCK_CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf_file.h"
#include "string_list.h"

enum conf_type {
	CONF_UINT32,  /* uint32_t; min to max */
	CONF_UINT64,  /* uint64_t; min to max */
	CONF_BOOL,    /* bool */
	CONF_CHOICE,  /* an enum: the index of a word in `choices` */
	CONF_STRING,  /* char *, NULL without a value and a default; at most `max` bytes */
	CONF_PATH,    /* the same, made absolute: relative to the directory of its file */
	CONF_STRINGS, /* struct strings; `min` to `max` elements */
	CONF_GROUP,   /* a group with a table of its own, `keys` */
	CONF_MOVED,   /* not read any more: `string` is the place that has taken its place */
	CONF_LIST,    /* `min` to `max` groups; not stored: the caller walks them (conf_list_element) */
};

/* The form of a string. */
struct conf_form {
	bool (*fits)(const char *text);
	const char *allowed; /* in words, for messages */
};

struct conf_key {
	const char *name; /* NULL ends a table */
	enum conf_type type;
	bool required;
	size_t offset; /* of the member in the struct; a group's is added to those of its keys */
	uint64_t min, max;
	uint64_t number;              /* default of a number, a bool or a choice */
	const char *string;           /* default of a string */
	const struct conf_form *form; /* of a string, or of each string of a list; NULL: any */
	const char *const *choices;   /* NULL-ended */
	const struct conf_key *keys;  /* of a group */
};

extern const struct conf_form conf_form_name;     /* a name that is safe as a file name */
extern const struct conf_form conf_form_absolute; /* an absolute path */

/*
 * Fill a zeroed struct with the defaults. Relative paths are relative to the directory of `file`.
 */
void conf_schema_defaults(const struct conf_file *file, const struct conf_key *keys, void *into);

/* Overwrite the struct with the values in `group`. Returns 0, or -1 with the file's error set. */
int conf_schema_read(const struct conf_file *file, const config_setting_t *group, const struct conf_key *keys, void *into);

/* Free the strings of the struct. */
void conf_schema_free(const struct conf_key *keys, void *into);

#endif
