/* base64.h - base64 (RFC 4648): the standard alphabet, with padding, and nothing else. */
#ifndef CELLBLOCK_BASE64_H
#define CELLBLOCK_BASE64_H

#include <stddef.h>

/* The length of the base64 of `size` bytes. */
#define BASE64_LENGTH(size) (((size) + 2) / 3 * 4)

/*
 * Decode `size` characters into `to`, which has room for size / 4 * 3 bytes. Returns the number of
 * bytes, or (size_t)-1 if the text is not base64.
 */
size_t base64_decode(const char *text, size_t size, char *to);

/*
 * Encode `size` bytes into `to`, which has room for BASE64_LENGTH(size) characters. No NUL follows.
 * A text may be encoded in parts if the size of each but the last is a multiple of 3.
 */
void base64_encode(const char *bytes, size_t size, char *to);

#endif
