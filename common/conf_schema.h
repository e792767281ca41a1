/*
 * conf_schema_read.h - read a libconfig file by a table: a row per key with its type, its range and its default.
 *
 * The same table fills a struct with the defaults, reads a group of the file over them, and frees the struct. What is
 * not in the table is refused, with a message that says what is.
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
	CONF_STRING,  /* char *, NULL when it has neither a value nor a default; at most `max` bytes */
	CONF_PATH,    /* the same, made absolute: it is relative to the folder of the file that has it */
	CONF_STRINGS, /* struct strings; min to max of them */
	CONF_GROUP,   /* a group, whose keys have a table of their own */
	CONF_LIST,    /* a list of min to max groups. Nothing is stored: the caller walks it (conf_list_element) */
};

/* What a string must look like. */
struct conf_form {
	bool (*fits)(const char *text);
	const char *allowed; /* the same in words */
};

struct conf_key {
	const char *name; /* NULL ends a table */
	enum conf_type type;
	bool required;
	size_t offset; /* of the member in the struct; of a group: added to those of its keys */
	uint64_t min, max;
	uint64_t number;              /* default of a number, a bool or a choice */
	const char *string;           /* default of a string */
	const struct conf_form *form; /* of a string, or of each in a list; NULL: any */
	const char *const *choices;   /* NULL-ended */
	const struct conf_key *keys;  /* of a group */
};

extern const struct conf_form conf_form_name;     /* a name that is safe as a file name */
extern const struct conf_form conf_form_absolute; /* an absolute path */

/* Fill a zeroed struct with the defaults. A relative path among them is relative to the file too. */
void conf_schema_defaults(const struct conf_file *file, const struct conf_key *keys, void *into);

/* Read what `group` has over what is in the struct. Returns 0, or -1 with the file's error set. */
int conf_schema_read(const struct conf_file *file, const config_setting_t *group, const struct conf_key *keys, void *into);

/* Free the struct's strings. */
void conf_schema_free(const struct conf_key *keys, void *into);

#endif
