/*
 * json_text.c - see json_text.h. Runs in the worker, over the output of guests: every byte is
 * hostile.
 */
#include "json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)

/*
 * How each ASCII character is written: 0: unchanged; 'u': as \u00XX; else a backslash and this
 * letter.
 */
static const char escapes[128] = { 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u', 'u', 'u', 'u',
	'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\' };

/*
 * Whether all of eight bytes can be copied: ASCII, and no control character, quote or backslash. It
 * is the usual test for a zero byte, three times. A borrow from a lower byte can only cause a false
 * no.
 */
static bool
plain8(uint64_t eight)
{
	uint64_t quote = eight ^ (ONES * '"');
	uint64_t backslash = eight ^ (ONES * '\\');

	return ((eight | (eight - ONES * 0x20) | (quote - ONES) | (backslash - ONES)) & TOPS) == 0;
}

/*
 * The length (2 to 4) of the sequence that starts at `p`, a byte above ASCII. If it is ill-formed,
 * or cut by the end of the input, *valid is false and the length is that of its maximal part (1 to
 * 3). *cut distinguishes the two.
 */
static size_t
sequence(const unsigned char *p, size_t size, bool *valid, bool *cut)
{
	/*
	 * The range of the second byte, which excludes overlong forms, surrogates, and characters
	 * above U+10FFFF.
	 */
	unsigned char low = 0x80, high = 0xbf;
	size_t length, i;

	*valid = *cut = false;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 1;
	length = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (i = 1; i < length; i++, low = 0x80, high = 0xbf) {
		if (i == size) {
			*cut = true;
			return i;
		}
		if (p[i] < low || p[i] > high)
			return i;
	}
	*valid = true;
	return length;
}

size_t
json_text_escape(const char *in, size_t size, size_t *used, char *out, size_t out_size)
{
	const unsigned char *p = (const unsigned char *)in;
	const unsigned char *end = p + size;
	char *to = out;
	const char *stop = out + out_size;

	while (p < end && stop - to >= JSON_TEXT_MAX) {
		while (end - p >= 8 && stop - to >= 8) {
			uint64_t eight;

			memcpy(&eight, p, 8);
			if (!plain8(eight))
				break;
			memcpy(to, &eight, 8);
			p += 8;
			to += 8;
		}
		/* Up to eight bytes one by one, then the fast path again. */
		for (int i = 0; i < 8 && p < end && stop - to >= JSON_TEXT_MAX; i++) {
			if (*p >= 0x80) {
				bool valid, cut;
				size_t length = sequence(p, (size_t)(end - p), &valid, &cut);

				if (valid) {
					memcpy(to, p, length);
					to += length;
				} else {
					memcpy(to, "\xef\xbf\xbd", 3);
					to += 3;
				}
				p += length;
			} else if (escapes[*p] == 0) {
				*to++ = (char)*p++;
			} else {
				*to++ = '\\';
				*to++ = escapes[*p];
				if (escapes[*p] == 'u') {
					*to++ = '0';
					*to++ = '0';
					*to++ = "0123456789abcdef"[*p >> 4];
					*to++ = "0123456789abcdef"[*p & 15];
				}
				p++;
			}
		}
	}
	*used = (size_t)(p - (const unsigned char *)in);
	return (size_t)(to - out);
}

size_t
json_text_length(const char *in, size_t size)
{
	/* The code that writes also counts, so a Content-Length always agrees with the body. */
	char block[8192];
	size_t length = 0, used;

	for (size_t at = 0; at < size; at += used)
		length += json_text_escape(in + at, size - at, &used, block, sizeof block);
	return length;
}

size_t
json_text_fit(const char *in, size_t size, uint64_t most)
{
	char block[8192];
	size_t at = 0, used;

	while (at < size && most >= JSON_TEXT_MAX) {
		most -= json_text_escape(in + at, size - at, &used, block, most < sizeof block ? (size_t)most : sizeof block);
		at += used;
	}
	return at;
}

size_t
json_text_well_formed(const char *in, size_t size)
{
	const unsigned char *p = (const unsigned char *)in;
	size_t at = 0;

	while (at < size) {
		bool valid = true, cut;
		uint64_t eight;
		size_t length = 1;

		if (size - at >= 8) {
			memcpy(&eight, p + at, 8);
			if ((eight & TOPS) == 0) {
				at += 8;
				continue;
			}
		}
		if (p[at] >= 0x80)
			length = sequence(p + at, size - at, &valid, &cut);
		if (!valid)
			break;
		at += length;
	}
	return at;
}

size_t
json_text_repair(const char *in, size_t size, char *out)
{
	size_t at = 0, written = 0;

	while (at < size) {
		size_t good = json_text_well_formed(in + at, size - at);
		bool valid, cut;

		if (out != NULL)
			memcpy(out + written, in + at, good);
		at += good;
		written += good;
		if (at == size)
			break;
		at += sequence((const unsigned char *)in + at, size - at, &valid, &cut);
		if (out != NULL)
			memcpy(out + written, "\xef\xbf\xbd", 3);
		written += 3;
	}
	return written;
}

size_t
json_text_trim(const char *in, size_t size)
{
	const unsigned char *p = (const unsigned char *)in;

	for (size_t back = 1; back <= 3 && back <= size; back++) {
		bool valid, cut;

		if (p[size - back] < 0x80)
			break;
		if (p[size - back] >= 0xc0) {
			sequence(p + size - back, back, &valid, &cut);
			return cut ? size - back : size;
		}
	}
	return size;
}
