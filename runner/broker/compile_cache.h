/*
 * compiled.h - what compilers have made, kept for the next run of the same source.
 *
 * An entry is a sealed memfd, so that many cells can run it and none can change it. All of them together hold a given
 * number of bytes; the one that was not used for the longest time goes first. They live as long as the runner.
 */
#ifndef CELLBLOCK_COMPILED_H
#define CELLBLOCK_COMPILED_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

#define COMPILE_CACHE_ENTRIES_MAX 1024 /* each has a descriptor: see start/fd_budget.h */

/* Of what source, by which compiler. Its flags are those of the configuration, which does not change under a runner. */
struct compile_key {
	uint32_t language;
	uint32_t reserved; /* 0: keys are compared byte by byte */
	uint64_t compiler[2][3]; /* its file, and that which tells its version: device, inode and time of change */
	uint8_t digest[PROTO_DIGEST_SIZE]; /* of the source */
};

struct compile_entry {
	struct compile_key key;
	int fd;
	uint64_t size; /* in bytes */
	uint64_t used; /* when, by compile_cache.clock */
};

struct compile_cache {
	struct compile_entry *entry;
	size_t count;
	uint64_t bytes;
	uint64_t most_bytes;
	uint64_t clock;
};

/* Returns a descriptor of one's own, or -1. */
int compile_cache_find(struct compile_cache *cache, const struct compile_key *key);

/*
 * Keep `fd`, of which the cache takes a duplicate, unless it is larger than all that may be kept. What cannot be kept is
 * no failure.
 */
void compile_cache_keep(struct compile_cache *cache, const struct compile_key *key, int fd);

#endif
