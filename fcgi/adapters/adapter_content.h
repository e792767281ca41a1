/* adapter_content.h - contents of files in the forms of other protocols. */
#ifndef CELLBLOCK_ADAPTER_CONTENT_H
#define CELLBLOCK_ADAPTER_CONTENT_H

#include <stddef.h>

/* The room that either function needs for a text of `size` characters. */
#define ADAPTER_CONTENT_SIZE(size) ((size) + 4)

/*
 * Make strict base64 of a loose one, as the decoders of JavaScript and Python read it: both
 * alphabets, other characters skipped, padding that may be missing, and nothing after it. Returns
 * its length.
 */
size_t adapter_content_base64(const char *text, size_t size, char *to);

/* Make base64 of hexadecimal digits, up to the first pair that is none. Returns its length. */
size_t adapter_content_hex(const char *text, size_t size, char *to);

#endif
