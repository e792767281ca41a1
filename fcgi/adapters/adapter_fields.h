/* adapter_fields.h - reads the fields of a request by a table. */
#ifndef CELLBLOCK_ADAPTER_FIELDS_H
#define CELLBLOCK_ADAPTER_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

enum adapter_type {
	ADAPTER_STRING,  /* struct json_object *, a string */
	ADAPTER_ARRAY,   /* the same, an array */
	ADAPTER_STRINGS, /* the same, an array of strings */
	ADAPTER_OBJECT,  /* the same, an object */
	ADAPTER_BASE64S, /* the same, an object of strings and nulls */
	ADAPTER_NUMBER,  /* double */
	ADAPTER_INTEGER, /* double, without a fraction */
};

struct adapter_field {
	const char *name; /* NULL ends a table */
	enum adapter_type type;
	bool required;
	bool may_be_null; /* null is as if the field were missing */
	bool as_text;     /* a number may also be written in a string */
	size_t offset;    /* of the member of the struct, which keeps its value if the field is missing */
};

enum adapter_fault {
	ADAPTER_MISSING,
	ADAPTER_WRONG_TYPE,
	ADAPTER_WRONG_ELEMENT, /* of an array or object */
};

/*
 * Told of each fault, in the order of the table. `element`: the place or name of a wrong element,
 * or NULL.
 */
typedef void (*adapter_on_fault)(void *context, const struct adapter_field *field, enum adapter_fault fault, const char *element);

/*
 * Set the members of `into` from the fields of `object`; the texts stay the object's. Fields that
 * are not in the table are ignored. Returns the number of faults.
 */
size_t adapter_fields_take(struct json_object *object, const struct adapter_field *fields, void *into, adapter_on_fault on_fault,
    void *context);

#endif
