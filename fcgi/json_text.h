/* json_text.h - arbitrary bytes as the inside of a JSON string. */
#ifndef CELLBLOCK_JSON_TEXT_H
#define CELLBLOCK_JSON_TEXT_H

#include <stddef.h>

#define JSON_TEXT_MAX 6 /* bytes that one character of input can become at most: \u0000 */

/*
 * Escape as much of `in` as fits into `out` (of JSON_TEXT_MAX bytes or more). Returns the bytes
 * written, and in *used the bytes of `in` that they stand for; what is left is a new call's input.
 * Only `"`, `\` and control characters are escaped, the rest is UTF-8 as it came. Each maximal part
 * of an ill-formed sequence becomes one U+FFFD (Unicode 15, section 3.9), which is what Python's
 * errors='replace' does.
 */
size_t json_text_escape(const char *in, size_t size, size_t *used, char *out, size_t out_size);

/* The bytes that json_text_escape makes of the whole of `in`. */
size_t json_text_length(const char *in, size_t size);

/* How many bytes of `in` are UTF-8: `size`, or where the first ill-formed sequence begins. */
size_t json_text_well_formed(const char *in, size_t size);

/*
 * The size of `in` without the beginning of a UTF-8 sequence at its end, for a text that was cut at
 * a limit.
 */
size_t json_text_trim(const char *in, size_t size);

#endif
