/*
 * collected.h - the files that a run has left, as the collector has copied them (collection.h).
 *
 * A collector has looked at a tree that a stranger made. So it is not trusted: what it sent is
 * checked, and its memory must be sealed.
 */
#ifndef CELLBLOCK_COLLECTED_H
#define CELLBLOCK_COLLECTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

#define COLLECTED_DIGITS 64 /* of a SHA-256 */

struct collected_file {
	struct text path;
	const char *reason;  /* why the content is not there; NULL: it is there */
	uint64_t size;       /* of the file */
	struct text content; /* fewer bytes, if all files together are more than may be collected */
	bool is_text;        /* UTF-8 that is not much longer as JSON */
	size_t json_length;  /* of the content, as the inside of a JSON string */
	const char *mime;
	char sha256[COLLECTED_DIGITS + 1]; /* of the content */
};

struct collected {
	bool was_asked; /* else there is nothing in it */
	char *map;      /* NULL: none */
	size_t map_size;
	struct collected_file *file; /* in the order of their paths */
	size_t count;
	const char *incomplete; /* why files are missing; NULL: all are there */
};

/*
 * Take the files out of the memfd `fd`, which is closed; -1: they could not be collected. Never
 * fails: what cannot be read is missing, and `incomplete` says so. The caller calls
 * collected_release.
 */
void collected_take(struct collected *collected, int fd);

/* Forget the files. May be called again. */
void collected_release(struct collected *collected);

#endif
