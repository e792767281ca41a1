/* compile_cache.c - see compile_cache.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/compile_cache.h"

#include <fcntl.h>
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
	close(entry->fd);
	cache->bytes -= entry->size;
	*entry = cache->entry[--cache->count];
}

static void
remove_oldest(struct compile_cache *cache)
{
	struct compile_entry *oldest = cache->entry;

	for (size_t i = 1; i < cache->count; i++) {
		if (cache->entry[i].used < oldest->used)
			oldest = &cache->entry[i];
	}
	remove_entry(cache, oldest);
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
compile_cache_keep(struct compile_cache *cache, const struct compile_key *key, int fd)
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
	while (cache->count == COMPILE_CACHE_ENTRIES_MAX || cache->bytes + fresh.size > cache->most_bytes)
		remove_oldest(cache);
	fresh.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fresh.fd < 0)
		return;
	cache->entry[cache->count++] = fresh;
	cache->bytes += fresh.size;
}
