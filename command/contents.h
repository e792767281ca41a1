/* contents.h - files and standard input of this host, whole in memory. */
#ifndef CELLBLOCK_CONTENTS_H
#define CELLBLOCK_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>

struct contents {
	char *bytes; /* NUL-terminated; for free() */
	size_t size;
	bool is_executable;
};

/* Read a regular file, or a pipe. Returns 0, or -1 with errno. */
int contents_read(const char *path, struct contents *contents);

/* Read standard input to its end. Returns 0, or -1 with errno. */
int contents_read_stdin(struct contents *contents);

bool contents_is_utf8(const struct contents *contents);

#endif
