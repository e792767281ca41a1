/* adapter_fields.c - see adapter_fields.h. Runs in the worker, over untrusted input. */
#include "adapters/adapter_fields.h"

#include <json-c/json.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENT_SIZE 64
#define LARGE 9007199254740992.0

/* Read a number. Returns whether it is one, and finite. */
static bool
take_number(struct json_object *value, bool as_text, double *number)
{
	if (json_object_is_type(value, json_type_string) && as_text) {
		const char *text = json_object_get_string(value);
		char *end;

		*number = strtod(text, &end);
		return end != text && *end == '\0' && isfinite(*number);
	}
	if (!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_int))
		return false;
	*number = json_object_get_double(value);
	return isfinite(*number);
}

/* Whether a finite number has no fraction. One that is so large has none. */
static bool
is_whole(double number)
{
	return number <= -LARGE || number >= LARGE || number == (double)(int64_t)number;
}

/* Find an element that is no string. Returns whether there is one, and names it. */
static bool
find_wrong(struct json_object *value, enum adapter_type type, char element[ELEMENT_SIZE])
{
	if (type == ADAPTER_STRINGS) {
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			snprintf(element, ELEMENT_SIZE, "%zu", i);
			if (!json_object_is_type(json_object_array_get_idx(value, i), json_type_string))
				return true;
		}
	}
	if (type == ADAPTER_BASE64S) {
		json_object_object_foreach(value, name, content) {
			snprintf(element, ELEMENT_SIZE, "%s", name);
			if (content != NULL && !json_object_is_type(content, json_type_string))
				return true;
		}
	}
	return false;
}

/* Take one value. Returns 0, or the fault plus 1. */
static int
take(struct json_object *value, const struct adapter_field *field, void *into, char element[ELEMENT_SIZE])
{
	static const json_type types[] = {
		[ADAPTER_STRING] = json_type_string,
		[ADAPTER_ARRAY] = json_type_array,
		[ADAPTER_STRINGS] = json_type_array,
		[ADAPTER_OBJECT] = json_type_object,
		[ADAPTER_BASE64S] = json_type_object,
	};
	double number;

	if (field->type == ADAPTER_NUMBER || field->type == ADAPTER_INTEGER) {
		if (!take_number(value, field->as_text, &number) || (field->type == ADAPTER_INTEGER && !is_whole(number)))
			return ADAPTER_WRONG_TYPE + 1;
		memcpy((char *)into + field->offset, &number, sizeof number);
		return 0;
	}
	if (!json_object_is_type(value, types[field->type]))
		return ADAPTER_WRONG_TYPE + 1;
	if (find_wrong(value, field->type, element))
		return ADAPTER_WRONG_ELEMENT + 1;
	memcpy((char *)into + field->offset, (const void *)&value, sizeof value);
	return 0;
}

size_t
adapter_fields_take(struct json_object *object, const struct adapter_field *fields, void *into, adapter_on_fault on_fault,
    void *context)
{
	size_t faults = 0;

	for (const struct adapter_field *field = fields; field->name != NULL; field++) {
		struct json_object *value = NULL;
		bool is_there = json_object_object_get_ex(object, field->name, &value) && (value != NULL || !field->may_be_null);
		char element[ELEMENT_SIZE] = "";
		int fault;

		if (!is_there && !field->required)
			continue;
		fault = is_there ? take(value, field, into, element) : ADAPTER_MISSING + 1;
		if (fault == 0)
			continue;
		on_fault(context, field, (enum adapter_fault)(fault - 1), element[0] != '\0' ? element : NULL);
		faults++;
	}
	return faults;
}
