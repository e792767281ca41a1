/* compile_cache.c - see compile_cache.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/compile_cache.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct compile_entry *
look_up(struct compile_cache *cache, const struct compile_key *key)
{
	for (size_t i = 0; i < cache->count; i++) {
		if (memcmp(&cache->entry[i].key, key, sizeof *key) == 0)
			return &cache->entry[i];
	}
	return NULL;
}

static void
remove_entry(struct compile_cache *cache, struct compile_entry *entry)
{
	struct compile_owner *owner = &cache->owner[entry->owner];

	close(entry->fd);
	cache->bytes -= entry->size;
	owner->bytes -= entry->size;
	owner->count--;
	*entry = cache->entry[--cache->count];
}

static void
remove_oldest_of(struct compile_cache *cache, uint32_t owner)
{
	struct compile_entry *oldest = NULL;

	for (size_t i = 0; i < cache->count; i++) {
		if (cache->entry[i].owner == owner && (oldest == NULL || cache->entry[i].used < oldest->used))
			oldest = &cache->entry[i];
	}
	if (oldest != NULL)
		remove_entry(cache, oldest);
}

/* The place of an owner, or a free one that is its own from the first entry on. */
static uint32_t
find_owner(struct compile_cache *cache, const char *name)
{
	uint32_t found = 0;

	/* There are more places than entries, so one is free. */
	for (uint32_t i = COMPILE_CACHE_OWNERS_MAX; i-- > 0;) {
		if (cache->owner[i].count == 0)
			found = i;
		else if (strcmp(cache->owner[i].name, name) == 0)
			return i;
	}
	cache->owner[found] = (struct compile_owner){ .count = 0 };
	snprintf(cache->owner[found].name, sizeof cache->owner[found].name, "%s", name);
	return found;
}

/*
 * Make room for an entry of `size` bytes and this owner: the owner that would have most loses some.
 * Returns whether there is room: not if that is the owner, and it has no other entry.
 */
static bool
make_room(struct compile_cache *cache, uint32_t owner, uint64_t size)
{
	for (;;) {
		bool is_bytes = cache->bytes + size > cache->most_bytes;
		uint64_t most = is_bytes ? cache->owner[owner].bytes + size : cache->owner[owner].count + 1;
		uint32_t loser = owner;

		if (!is_bytes && cache->count < COMPILE_CACHE_ENTRIES_MAX)
			return true;
		for (uint32_t i = 0; i < COMPILE_CACHE_OWNERS_MAX; i++) {
			uint64_t has = is_bytes ? cache->owner[i].bytes : cache->owner[i].count;

			if (i != owner && cache->owner[i].count > 0 && has > most) {
				loser = i;
				most = has;
			}
		}
		if (cache->owner[loser].count == 0)
			return false;
		remove_oldest_of(cache, loser);
	}
}

int
compile_cache_find(struct compile_cache *cache, const struct compile_key *key)
{
	struct compile_entry *entry = look_up(cache, key);

	if (entry == NULL)
		return -1;
	entry->used = ++cache->clock;
	return fcntl(entry->fd, F_DUPFD_CLOEXEC, 0);
}

void
compile_cache_keep(struct compile_cache *cache, const struct compile_key *key, const char *name, int fd)
{
	struct compile_entry *known = look_up(cache, key);
	struct compile_entry fresh = { .key = *key, .used = ++cache->clock };
	struct stat st;

	/* Two workers may have had the same source compiled at the same time. */
	if (known != NULL)
		remove_entry(cache, known);
	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size > cache->most_bytes)
		return;
	fresh.size = (uint64_t)st.st_size;
	if (cache->entry == NULL && (cache->entry = calloc(COMPILE_CACHE_ENTRIES_MAX, sizeof *cache->entry)) == NULL)
		return;
	if (cache->owner == NULL && (cache->owner = calloc(COMPILE_CACHE_OWNERS_MAX, sizeof *cache->owner)) == NULL)
		return;
	fresh.owner = find_owner(cache, name);
	if (!make_room(cache, fresh.owner, fresh.size))
		return;
	fresh.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fresh.fd < 0)
		return;
	cache->entry[cache->count++] = fresh;
	cache->bytes += fresh.size;
	cache->owner[fresh.owner].bytes += fresh.size;
	cache->owner[fresh.owner].count++;
}

void
compile_cache_free(struct compile_cache *cache)
{
	for (size_t i = 0; i < cache->count; i++)
		close(cache->entry[i].fd);
	free(cache->entry);
	free(cache->owner);
	*cache = (struct compile_cache){ .count = 0 };
}
