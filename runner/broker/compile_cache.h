/*
 * compile_cache.h - the outputs of compilers, kept for later runs of the same source.
 *
 * An entry is a sealed memfd, so that many cells can run it and none can change it. The entries
 * together hold a configured number of bytes. They live as long as the runner.
 *
 * An entry belongs to the API key whose program it is. Where one has to go, the key that has most
 * of the cache loses its least recently used one: so no key can drive out what another one has
 * within its equal share.
 */
#ifndef CELLBLOCK_COMPILED_H
#define CELLBLOCK_COMPILED_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

#define COMPILE_CACHE_ENTRIES_MAX 1024 /* each has a descriptor: see start/fd_budget.h */
#define COMPILE_CACHE_OWNERS_MAX (COMPILE_CACHE_ENTRIES_MAX + 1)

/*
 * The source and the compiler of an entry. The compiler's flags are not part of it: they are in the
 * configuration, which does not change while a runner serves.
 */
struct compile_key {
	uint32_t language;
	uint32_t reserved;                 /* 0: keys are compared byte by byte */
	uint64_t compiler[2][3];           /* as in struct warden_compiler */
	uint8_t digest[PROTO_DIGEST_SIZE]; /* of the source */
};

struct compile_entry {
	struct compile_key key;
	int fd;
	uint64_t size;  /* in bytes */
	uint64_t used;  /* when, by compile_cache.clock */
	uint32_t owner; /* index of compile_cache.owner */
};

/* The part of the cache that is a key's. */
struct compile_owner {
	char name[PROTO_KEY_NAME_SIZE];
	uint32_t count; /* of entries; 0: the place is free */
	uint64_t bytes;
};

struct compile_cache {
	struct compile_entry *entry; /* COMPILE_CACHE_ENTRIES_MAX */
	struct compile_owner *owner; /* COMPILE_CACHE_OWNERS_MAX */
	size_t count;
	uint64_t bytes;
	uint64_t most_bytes;
	uint64_t clock;
};

/* Returns a new descriptor of the entry, the caller's to close, or -1 if there is none. */
int compile_cache_find(struct compile_cache *cache, const struct compile_key *key);

/*
 * Keep a duplicate of `fd` for the API key `name`. Does nothing if there is no room for it that the
 * key may take, or no memory or descriptor.
 */
void compile_cache_keep(struct compile_cache *cache, const struct compile_key *key, const char *name, int fd);

/* Close and free all of it. */
void compile_cache_free(struct compile_cache *cache);

#endif
