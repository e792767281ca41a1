/* json_text.h - writes arbitrary bytes as the inside of a JSON string. */
#ifndef CELLBLOCK_JSON_TEXT_H
#define CELLBLOCK_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define JSON_TEXT_MAX 6 /* the most bytes that one byte of input becomes: \u0000 */

/*
 * Escape as much of `in` as fits into `out`, which has JSON_TEXT_MAX bytes or more. Returns the
 * number of bytes written; *used is the number of bytes of `in` that they stand for. The rest is
 * for the next call.
 *
 * Only `"`, `\` and control characters are escaped; other UTF-8 is copied. Each maximal part of an
 * ill-formed sequence becomes one U+FFFD (Unicode 15, section 3.9), as with Python's
 * errors='replace'.
 */
size_t json_text_escape(const char *in, size_t size, size_t *used, char *out, size_t out_size);

/* The number of bytes that json_text_escape makes of all of `in`. */
size_t json_text_length(const char *in, size_t size);

/*
 * The number of bytes at the start of `in` of which json_text_escape makes at most `most`. No more
 * than JSON_TEXT_MAX bytes of `most` are left over.
 */
size_t json_text_fit(const char *in, size_t size, uint64_t most);

/* The number of bytes before the first ill-formed sequence; `size` if there is none. */
size_t json_text_well_formed(const char *in, size_t size);

/*
 * Copy `in` to `out` with U+FFFD for each maximal part of an ill-formed sequence. Returns the size
 * of the copy, at most three times that of `in`. `out` is NULL: it only counts.
 */
size_t json_text_repair(const char *in, size_t size, char *out);

/*
 * The size of `in` without an incomplete UTF-8 sequence at its end, for a text that was cut at a
 * limit.
 */
size_t json_text_trim(const char *in, size_t size);

#endif
