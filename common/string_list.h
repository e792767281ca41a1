/* string_list.h - a list of strings. */
#ifndef CELLBLOCK_STRING_LIST_H
#define CELLBLOCK_STRING_LIST_H

#include <stddef.h>

struct strings {
	char **item;
	size_t count;
};

#endif
