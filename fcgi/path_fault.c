/* path_fault.c - see path_fault.h. Runs in the worker, over untrusted input. */
#include "path_fault.h"

#include <limits.h>
#include <string.h>

#define PATH_MOST 1024 /* bytes of a path */
#define DEPTH_MOST 32  /* components of a path */

const char *
path_fault(const struct text *path)
{
	size_t depth = 0, length;

	if (path->size == 0)
		return "must not be empty";
	if (memchr(path->bytes, '\0', path->size) != NULL)
		return "must not contain a NUL character";
	if (path->bytes[0] == '/')
		return "must be relative to the working directory";
	if (path->size > PATH_MOST)
		return "must not be longer than 1024 bytes";
	for (const char *at = path->bytes;; at += length + 1) {
		length = strcspn(at, "/");
		if (length == 0)
			return "must not contain an empty name, nor end in /";
		if (length > NAME_MAX)
			return "must not contain a name of more than 255 bytes";
		if ((length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.'))
			return "must not contain . or .. as a name";
		if (++depth > DEPTH_MOST)
			return "must not lead through more than 31 directories";
		if (at[length] == '\0')
			return NULL;
	}
}
