/*
 * form.h - reads the body of a form as if it were the JSON of a run: name=value pairs, or the parts
 * of a multipart body. Clients of dify-sandbox may send either.
 *
 * It does no input or output and keeps no state, and can be tested and fuzzed alone.
 */
#ifndef CELLBLOCK_FORM_H
#define CELLBLOCK_FORM_H

#include <stddef.h>

struct json_object;

/*
 * The fields of the form that a run knows, as an object for json_object_put; others are left out.
 * Returns NULL if the body is no form, or if there is no memory.
 */
struct json_object *form_parse(const char *body, size_t size);

#endif
