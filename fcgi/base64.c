/* base64.c - see base64.h. Runs in the worker, over untrusted input. */
#include "base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a character; above 63 if it has none. */
static uint32_t
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

size_t
base64_decode(const char *text, size_t size, char *to)
{
	size_t padding = size >= 4 && text[size - 1] == '=' ? (text[size - 2] == '=' ? 2 : 1) : 0, written = 0;

	if (size % 4 != 0)
		return (size_t)-1;
	for (size_t at = 0; at < size; at += 4) {
		size_t missing = at + 4 == size ? padding : 0;
		uint32_t group = 0;

		for (size_t i = 0; i < 4; i++) {
			uint32_t value = i + missing >= 4 ? 0 : value_of(text[at + i]);

			if (value > 63)
				return (size_t)-1;
			group = group << 6 | value;
		}
		/* The bits that the padding leaves over are zero, so each text has one form. */
		if ((group & ((UINT32_C(1) << 8 * missing) - 1)) != 0)
			return (size_t)-1;
		for (size_t i = 0; i + missing < 3; i++)
			to[written++] = (char)(group >> (16 - 8 * i));
	}
	return written;
}

void
base64_encode(const char *bytes, size_t size, char *to)
{
	for (size_t at = 0; at < size; at += 3) {
		size_t left = size - at;
		uint32_t group = (uint32_t)(unsigned char)bytes[at] << 16;

		if (left > 1)
			group |= (uint32_t)(unsigned char)bytes[at + 1] << 8;
		if (left > 2)
			group |= (uint32_t)(unsigned char)bytes[at + 2];
		*to++ = alphabet[group >> 18];
		*to++ = alphabet[group >> 12 & 63];
		*to++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
		*to++ = left > 2 ? alphabet[group & 63] : '=';
	}
}
