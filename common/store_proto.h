/*
 * store_proto.h - the ids of stored files, and the messages between the store and its clients: the
 * workers and the status process.
 *
 * The socket is SOCK_SEQPACKET, below files.store. A client sends a struct store_request, for
 * STORE_FIND with `count` digests behind it, and gets one struct store_reply, for STORE_FIND with
 * `count` sizes behind it. What STORE_OPEN has handed out counts against files.store_run_bytes
 * until the connection is closed.
 *
 * A name is a digest that a worker has made of words of a client's own. It stands for one file of
 * the key, until another gets it. It counts and expires as a file does, and is none.
 */
#ifndef CELLBLOCK_STORE_PROTO_H
#define CELLBLOCK_STORE_PROTO_H

#include <stdint.h>

#include "proto.h"

#define STORE_SOCKET "socket" /* its name below files.store */
#define STORE_ID_PREFIX "sha256:"
#define STORE_DIGITS 64
#define STORE_ID_LENGTH (sizeof STORE_ID_PREFIX - 1 + STORE_DIGITS)
#define STORE_IDS_MOST 1000 /* of a run */
#define STORE_NO_SIZE UINT64_MAX

enum store_kind {
	STORE_FIND = 1, /* the sizes of `count` files; STORE_NO_SIZE: the key has no such file */
	STORE_OPEN,     /* the file with `digest`: the reply comes with a descriptor that can only be read */
	STORE_KEEP,     /* with a sealed memfd: keep `size` bytes from `offset` on as a file of the key; see `count` */
	STORE_FIGURES,  /* the figures of the store */
	STORE_RESOLVE,  /* the digest of the file for which the name `digest` stands */
};

/* Why the store did not do it. */
enum store_fault {
	STORE_OK,
	STORE_UNKNOWN,   /* the key has no such file */
	STORE_TOO_LARGE, /* more than files.store_file_bytes, or than the key may have */
	STORE_KEY_FULL,  /* uploads in progress take all that the key may have */
	STORE_FULL,      /* uploads in progress take all of files.store_bytes */
	STORE_NO_SPACE,  /* the disk is full */
	STORE_BUSY,      /* runs in progress take all of files.store_run_bytes, or the key's half of it */
	STORE_FAILED,    /* a step failed; the store's log says which */
};

struct store_request {
	uint32_t kind;  /* enum store_kind */
	uint32_t count; /* STORE_FIND; STORE_KEEP: 1: the name `digest` stands for the file from now on; or 0 */
	uint64_t offset, size;
	uint8_t digest[PROTO_DIGEST_SIZE]; /* STORE_OPEN; STORE_KEEP, STORE_RESOLVE: a name, see above */
	char key[PROTO_KEY_NAME_SIZE];     /* the name of the client's key, ended by NUL */
};

struct store_figures {
	uint64_t bytes; /* of all files, in whole blocks, with uploads in progress */
	uint64_t files;
	uint64_t keys;      /* that have files */
	uint64_t uploads;   /* in progress */
	uint64_t run_bytes; /* that runs in progress have */
	/* since the start of the store */
	uint64_t stored; /* files */
	uint64_t found, missing;
	uint64_t evicted, expired, deleted;
	uint64_t refused; /* uploads, for want of space */
};

struct store_reply {
	uint32_t kind;                     /* as in the request */
	uint32_t fault;                    /* enum store_fault */
	uint64_t size;                     /* STORE_OPEN */
	uint8_t digest[PROTO_DIGEST_SIZE]; /* STORE_KEEP, STORE_RESOLVE */
	struct store_figures figures;      /* STORE_FIGURES */
};

#endif
