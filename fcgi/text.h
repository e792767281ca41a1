/* text.h - bytes of a request. */
#ifndef CELLBLOCK_TEXT_H
#define CELLBLOCK_TEXT_H

#include <stddef.h>

/* Bytes that may contain NUL. The struct does not own them. */
struct text {
	const char *bytes;
	size_t size;
};

#endif
