/*
 * store.h - the files that the keys have in the store: a directory, and an index of it.
 *
 *     files.store/
 *       socket          where workers ask (links.h)
 *       lock            held by the one process that serves
 *       boot            the boot of the host in which the files were written
 *       tmp/N           uploads in progress; removed at the start
 *       keys/NAME/HEX   a file of the key NAME, named by its SHA-256; 0400
 *       keys/NAME/HEX.name   a name that stands for a file of the key: the SHA-256 of that
 *
 * A file gets its name when it is whole and its digest is known, by one rename(2). So there is
 * never half a file, whatever ends this process. After a crash of the host a disk may have a name
 * and not its content, so a store of an earlier boot is emptied.
 *
 * For several threads.
 */
#ifndef CELLBLOCK_STORE_STORE_H
#define CELLBLOCK_STORE_STORE_H

#include <sha2.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "store_proto.h"

struct store;
struct index_owner;

/* A file that is being written. */
struct store_upload {
	struct index_owner *owner;
	uint64_t quota; /* of the key, in bytes */
	uint64_t size;  /* so far */
	uint64_t reserved;
	uint64_t number; /* its name in tmp/ */
	int fd;
	SHA2_CTX sha;
};

/*
 * Open the store of the configuration: wait until no other process has it, and read what is there.
 * Dies if that fails. *dir_fd: its directory, which stays the store's.
 */
struct store *store_open(const struct config *config, int *dir_fd);

/* The size of a file of the key, which counts as a use; or STORE_NO_SIZE. */
uint64_t store_find(struct store *store, const char *key, const uint8_t digest[PROTO_DIGEST_SIZE]);

/*
 * Open a file of the key. Returns a close-on-exec descriptor that can only be read and is the
 * caller's; or -1: the key has no such file.
 */
int store_get(struct store *store, const char *key, const uint8_t digest[PROTO_DIGEST_SIZE], uint64_t *size);

/* Delete a file of the key. Returns whether there was one. */
bool store_delete(struct store *store, const char *key, const uint8_t digest[PROTO_DIGEST_SIZE]);

/*
 * Begin a file of the key `key`, which may have `quota` bytes and `most_uploads` at the same time;
 * 0: any number. `expected`: its size, or STORE_NO_SIZE. STORE_OK: the caller ends it by
 * store_commit or store_drop.
 */
enum store_fault store_begin(struct store *store, const char *key, uint64_t quota, uint32_t most_uploads, uint64_t expected,
    struct store_upload *upload);

/* Append to the file. After another result than STORE_OK the caller calls store_drop. */
enum store_fault store_write(struct store *store, struct store_upload *upload, const void *bytes, size_t size);

/* Give the file its name. The upload is over whatever the result. */
enum store_fault store_commit(struct store *store, struct store_upload *upload, uint8_t digest[PROTO_DIGEST_SIZE]);

/*
 * Let a name stand for the file of the key with this digest (store_proto.h). It counts as a file,
 * within `quota`.
 */
enum store_fault store_name(struct store *store, const char *key, uint64_t quota, const uint8_t name[PROTO_DIGEST_SIZE],
    const uint8_t digest[PROTO_DIGEST_SIZE]);

/* Find the digest for which a name of the key stands, which counts as a use. Or STORE_UNKNOWN. */
enum store_fault store_resolve(struct store *store, const char *key, const uint8_t name[PROTO_DIGEST_SIZE],
    uint8_t digest[PROTO_DIGEST_SIZE]);

/* Discard the file. */
void store_drop(struct store *store, struct store_upload *upload);

/* Remove what has expired. */
void store_sweep(struct store *store);

/* Fill in all figures but run_bytes. */
void store_figures(struct store *store, struct store_figures *figures);

#endif
