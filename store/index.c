/* index.c - see index.h. Runs in the store. */
#include "index.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 65536u

uint64_t
index_charge(uint64_t size)
{
	return size < INDEX_BLOCK ? INDEX_BLOCK : (size + INDEX_BLOCK - 1) / INDEX_BLOCK * INDEX_BLOCK;
}

int
index_init(struct index *index, uint64_t most, void (*remove)(void *context, const struct index_entry *entry), void *context)
{
	*index = (struct index){ .most = most, .remove = remove, .context = context };
	index->bucket = calloc(BUCKETS, sizeof(struct index_entry *));
	return index->bucket != NULL ? 0 : -1;
}

void
index_free(struct index *index)
{
	for (struct index_owner *owner = index->owners, *next; owner != NULL; owner = next) {
		for (struct index_entry *entry = owner->newest, *older; entry != NULL; entry = older) {
			older = entry->older;
			free(entry);
		}
		next = owner->next;
		free(owner);
	}
	free(index->bucket);
	*index = (struct index){ .most = 0 };
}

/* ---- owners ------------------------------------------------------------------------------------------------------ */

static struct index_owner *
find_owner(const struct index *index, const char *name)
{
	struct index_owner *owner = index->owners;

	while (owner != NULL && strcmp(owner->name, name) != 0)
		owner = owner->next;
	return owner;
}

struct index_owner *
index_owner(struct index *index, const char *name)
{
	struct index_owner *owner = find_owner(index, name);

	if (owner != NULL)
		return owner;
	owner = calloc(1, sizeof *owner);
	if (owner == NULL)
		return NULL;
	snprintf(owner->name, sizeof owner->name, "%s", name);
	owner->next = index->owners;
	index->owners = owner;
	return owner;
}

void
index_leave(struct index *index, struct index_owner *owner)
{
	struct index_owner **at = &index->owners;

	if (owner->bytes > 0 || owner->files > 0 || owner->uploads > 0)
		return;
	while (*at != owner)
		at = &(*at)->next;
	*at = owner->next;
	free(owner);
}

static struct index_owner *
largest_owner(const struct index *index)
{
	struct index_owner *largest = NULL;

	for (struct index_owner *owner = index->owners; owner != NULL; owner = owner->next) {
		if (owner->files > 0 && (largest == NULL || owner->bytes > largest->bytes))
			largest = owner;
	}
	return largest;
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

/* Two keys that have the same file have it in different buckets, mostly. */
static struct index_entry **
bucket_of(const struct index *index, const char *name, const uint8_t digest[PROTO_DIGEST_SIZE])
{
	uint32_t hash = 0;

	memcpy(&hash, digest, sizeof hash);
	for (; *name != '\0'; name++)
		hash = hash * 31 + (unsigned char)*name;
	return &index->bucket[hash % BUCKETS];
}

struct index_entry *
index_find(const struct index *index, const char *name, const uint8_t digest[PROTO_DIGEST_SIZE])
{
	struct index_entry *entry = *bucket_of(index, name, digest);

	while (
	    entry != NULL && (memcmp(entry->digest, digest, sizeof entry->digest) != 0 || strcmp(entry->owner->name, name) != 0))
		entry = entry->next;
	return entry;
}

static void
unlink_use(struct index_entry *entry)
{
	*(entry->newer != NULL ? &entry->newer->older : &entry->owner->newest) = entry->older;
	*(entry->older != NULL ? &entry->older->newer : &entry->owner->oldest) = entry->newer;
}

static void
link_use(struct index_entry *entry)
{
	struct index_owner *owner = entry->owner;

	entry->newer = NULL;
	entry->older = owner->newest;
	*(entry->older != NULL ? &entry->older->newer : &owner->oldest) = entry;
	owner->newest = entry;
}

void
index_use(struct index_entry *entry, uint64_t now_s)
{
	entry->used_s = now_s;
	unlink_use(entry);
	link_use(entry);
}

int
index_add(struct index *index, struct index_owner *owner, const uint8_t digest[PROTO_DIGEST_SIZE], bool is_name, uint64_t size,
    uint64_t used_s)
{
	struct index_entry *entry = calloc(1, sizeof *entry), **bucket = bucket_of(index, owner->name, digest);

	if (entry == NULL)
		return -1;
	memcpy(entry->digest, digest, sizeof entry->digest);
	entry->size = size;
	entry->is_name = is_name;
	entry->used_s = used_s;
	entry->owner = owner;
	entry->next = *bucket;
	*bucket = entry;
	link_use(entry);
	owner->reserved -= index_charge(size);
	index->reserved -= index_charge(size);
	index->keys += owner->files == 0;
	owner->files++;
	index->files++;
	return 0;
}

/* The owner stays. */
static void
drop(struct index *index, struct index_entry *entry)
{
	struct index_owner *owner = entry->owner;
	struct index_entry **at = bucket_of(index, owner->name, entry->digest);

	index->remove(index->context, entry);
	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	unlink_use(entry);
	owner->bytes -= index_charge(entry->size);
	index->bytes -= index_charge(entry->size);
	owner->files--;
	index->files--;
	index->keys -= owner->files == 0;
	free(entry);
}

void
index_drop(struct index *index, struct index_entry *entry)
{
	struct index_owner *owner = entry->owner;

	drop(index, entry);
	index_leave(index, owner);
}

void
index_expire(struct index *index, uint64_t before_s)
{
	for (struct index_owner *owner = index->owners, *next; owner != NULL; owner = next) {
		next = owner->next;
		while (owner->oldest != NULL && owner->oldest->used_s < before_s) {
			drop(index, owner->oldest);
			index->expired++;
		}
		index_leave(index, owner);
	}
}

/* ---- quotas ------------------------------------------------------------------------------------------------------ */

enum store_fault
index_reserve(struct index *index, struct index_owner *owner, uint64_t quota, uint64_t bytes)
{
	if (bytes > quota || owner->reserved > quota - bytes)
		return STORE_KEY_FULL;
	if (bytes > index->most || index->reserved > index->most - bytes)
		return STORE_FULL;
	while (owner->bytes > quota - bytes) {
		drop(index, owner->oldest);
		index->evicted++;
	}
	while (index->bytes > index->most - bytes) {
		struct index_owner *largest = largest_owner(index);

		drop(index, largest->oldest);
		index->evicted++;
		if (largest != owner)
			index_leave(index, largest);
	}
	owner->bytes += bytes;
	owner->reserved += bytes;
	index->bytes += bytes;
	index->reserved += bytes;
	return STORE_OK;
}

void
index_release(struct index *index, struct index_owner *owner, uint64_t bytes)
{
	owner->bytes -= bytes;
	owner->reserved -= bytes;
	index->bytes -= bytes;
	index->reserved -= bytes;
}
