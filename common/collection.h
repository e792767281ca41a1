/*
 * collection.h - the files that a run has left: two memfds that the runner passes on unread.
 *
 * A worker writes the patterns of a request into the first, and seals it. The collector
 * (warden/collector.h), which looks at the files of the empty cell, reads it, and writes the second
 * for the worker. Native byte order: neither leaves the host.
 */
#ifndef CELLBLOCK_COLLECTION_H
#define CELLBLOCK_COLLECTION_H

#include <stdint.h>

#define COLLECT_MAGIC 0x314c4f43u /* "COL1" */

#define COLLECT_PATTERNS_MOST 64   /* of a run */
#define COLLECT_PATTERN_MOST 1024  /* bytes of a pattern, and of the path of a file */
#define COLLECT_FILES_MOST 1000    /* entries that are reported */
#define COLLECT_DEPTH_MOST 32      /* directories, one in the other, that are looked into */
#define COLLECT_LOOKED_MOST 100000 /* names that are looked at */
#define COLLECT_MS 1000            /* for all of it */

/* The first: this, then the patterns, each ended by a NUL. */
struct collect_request {
	uint32_t magic;
	uint32_t patterns;
	uint64_t bytes; /* of all patterns, with their NULs */
	uint64_t most;  /* bytes of all contents; 0: as many as the configuration allows */
};

/* Why the content of a file is not there. */
enum collect_kind {
	COLLECT_FILE, /* it is there */
	COLLECT_SYMLINK,
	COLLECT_FIFO,
	COLLECT_SOCKET,
	COLLECT_DEVICE,
	COLLECT_UNREADABLE, /* the program took away its own right to read it */
	COLLECT_DEEP,       /* a directory, or a file, below more than COLLECT_DEPTH_MOST others; or a path that is too long */
	COLLECT_KINDS
};

/* Why a collection is not complete. */
enum collect_end {
	COLLECT_ALL, /* it is complete */
	COLLECT_END_FILES,
	COLLECT_END_LOOKED,
	COLLECT_END_TIME,
	COLLECT_ENDS
};

/* The second: this, then the entries. */
struct collect_result {
	uint32_t magic;
	uint32_t files;
	uint32_t end; /* enum collect_end */
	uint32_t reserved;
};

/* An entry: this, then the path, without a NUL, then the content. Not aligned: to be copied. */
struct collect_file {
	uint32_t kind; /* enum collect_kind */
	uint32_t path_bytes;
	uint64_t size;          /* of the file */
	uint64_t content_bytes; /* fewer, if all files together are more than may be collected */
};

#endif
