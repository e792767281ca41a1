/* adapter_content.c - see adapter_content.h. Runs in the worker, over untrusted input. */
#include "adapters/adapter_content.h"

#include <ctype.h>
#include <string.h>

#include "base64.h"

size_t
adapter_content_base64(const char *text, size_t size, char *to)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t length = 0;

	for (size_t i = 0; i < size && text[i] != '='; i++) {
		char c = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];

		if (isalnum((unsigned char)c) || c == '+' || c == '/')
			to[length++] = c;
	}
	/* One character alone is no byte, and the bits that are left over are none. */
	if (length % 4 == 1)
		length--;
	if (length % 4 != 0) {
		size_t value = (size_t)(strchr(alphabet, to[length - 1]) - alphabet);

		to[length - 1] = alphabet[value & (length % 4 == 2 ? 0x30u : 0x3cu)];
	}
	while (length % 4 != 0)
		to[length++] = '=';
	return length;
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t
adapter_content_hex(const char *text, size_t size, char *to)
{
	char bytes[3];
	size_t length = 0, count = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		int high = digit(text[i]), low = digit(text[i + 1]);

		if (high < 0 || low < 0)
			break;
		bytes[count++] = (char)(high * 16 + low);
		if (count == sizeof bytes) {
			base64_encode(bytes, count, to + length);
			length += 4;
			count = 0;
		}
	}
	if (count > 0) {
		base64_encode(bytes, count, to + length);
		length += 4;
	}
	return length;
}
