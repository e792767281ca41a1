/*
 * index.h - what the store knows of its files, in memory: whose they are, their sizes, and when
 * they were used. It holds the quotas, and decides which file goes.
 *
 * It does no input or output: a function of the caller's removes the files that go. Not for several
 * threads at once.
 */
#ifndef CELLBLOCK_STORE_INDEX_H
#define CELLBLOCK_STORE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "store_proto.h"

/* Each file counts as whole blocks, and at least as one. So its name and inode count, too. */
#define INDEX_BLOCK 4096

struct index_entry {
	uint8_t digest[PROTO_DIGEST_SIZE];
	uint64_t size;
	bool is_name;    /* its content is the digest of the file for which it stands */
	uint64_t used_s; /* of the last use, in seconds since 1970 */
	struct index_owner *owner;
	struct index_entry *newer, *older; /* of the same owner */
	struct index_entry *next;          /* in its bucket */
};

/* A key that has files or uploads. */
struct index_owner {
	char name[PROTO_KEY_NAME_SIZE];
	uint64_t bytes;    /* charged: files and uploads */
	uint64_t reserved; /* of these, for uploads */
	uint64_t files;
	uint64_t uploads; /* in progress */
	struct index_entry *newest, *oldest;
	struct index_owner *next;
};

struct index {
	uint64_t most;            /* bytes charged in all */
	uint64_t bytes, reserved; /* of all owners */
	uint64_t files, keys;     /* keys: owners with files */
	uint64_t evicted, expired;
	struct index_entry **bucket;
	struct index_owner *owners;
	/* Remove the file of an entry that is about to go. */
	void (*remove)(void *context, const struct index_entry *entry);
	void *context;
};

/* The charge of a file of this size. */
uint64_t index_charge(uint64_t size);

/* Make an empty index. Returns 0, or -1 with errno. index_free frees it. */
int index_init(struct index *index, uint64_t most, void (*remove)(void *context, const struct index_entry *entry), void *context);
void index_free(struct index *index);

/* The owner with this name; it is made if there is none. NULL: no memory. */
struct index_owner *index_owner(struct index *index, const char *name);

/* Forget an owner that has nothing. */
void index_leave(struct index *index, struct index_owner *owner);

/* The file of the key `name` with this digest, or NULL. */
struct index_entry *index_find(const struct index *index, const char *name, const uint8_t digest[PROTO_DIGEST_SIZE]);

/* Note that a file was used now. */
void index_use(struct index_entry *entry, uint64_t now_s);

/*
 * Reserve `bytes` for an upload of the owner, who may have `quota` in all. Files that were not used
 * for longest go: the owner's own if its quota is full, and those of the owner who has most if all
 * of the store is. Nothing goes if that would not do.
 */
enum store_fault index_reserve(struct index *index, struct index_owner *owner, uint64_t quota, uint64_t bytes);

/* Give back what was reserved. */
void index_release(struct index *index, struct index_owner *owner, uint64_t bytes);

/*
 * Add a file, or a name, whose charge was reserved and is the file's from now on. Entries must come
 * in the order of their use. Returns 0, or -1 if there is no memory.
 */
int index_add(struct index *index, struct index_owner *owner, const uint8_t digest[PROTO_DIGEST_SIZE], bool is_name,
    uint64_t size, uint64_t used_s);

/* Remove the file and forget it. Its owner is forgotten, too, if it has nothing else. */
void index_drop(struct index *index, struct index_entry *entry);

/* Remove all files that were last used before `before_s`. */
void index_expire(struct index *index, uint64_t before_s);

#endif
