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

/* How the files of a run are to come back. */
struct collect_form {
	uint64_t content_bytes; /* of all contents in the reply */
	uint64_t most_bytes;    /* of all files that are collected */
	bool can_store;         /* whole files that do not fit into the reply go into the store, ... */
	bool as_id;             /* ... or all whole files */
};

struct collected_file {
	struct text path;
	const char *reason;  /* why the content is not there; NULL: it is there */
	uint64_t size;       /* of the file */
	struct text content; /* fewer bytes, if all files together are more than may be collected */
	bool is_text;        /* UTF-8 that is not much longer as JSON */
	size_t json_length;  /* of the content, as the inside of a JSON string */
	bool is_for_store;   /* it is whole, and is to be kept; then it is in the store, or has a reason */
	const char *mime;
	char sha256[COLLECTED_DIGITS + 1]; /* of the content; of a file for the store, when it is there */
};

struct collected {
	bool was_asked; /* else there is nothing in it */
	char *map;      /* NULL: none */
	size_t map_size;
	int fd;                      /* of the same memory, while there are files for the store; -1: none */
	struct collected_file *file; /* in the order of their paths */
	size_t count;
	const char *incomplete; /* why files are missing; NULL: all are there */
};

/*
 * Take the files out of the memfd `fd`, which the callee closes; -1: they could not be collected.
 * Never fails: what cannot be read is missing, and `incomplete` says so. The caller calls
 * collected_release.
 */
void collected_take(struct collected *collected, int fd, const struct collect_form *form);

/* Forget the files. May be called again. */
void collected_release(struct collected *collected);

#endif
