/*
 * request_pack.h - the files of the store that a request names: which they are, and their places in
 * its pack (job.h).
 *
 * A request names files in its own list, in those of its tests, and in those of its checkers and of
 * its interactor. The pack has each of them once, however often it is named.
 */
#ifndef CELLBLOCK_REQUEST_PACK_H
#define CELLBLOCK_REQUEST_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"

/* A file of the store. */
struct pack_file {
	const char *id; /* the request's */
	uint64_t size;  /* the caller finds out */
	uint64_t at;    /* in the pack; from request_pack_settle on */
};

struct request_pack {
	struct pack_file *file; /* no id twice; in the order in which the request names them */
	size_t count;
	uint32_t *which; /* file[which[i]] is the one that the request names in the i-th place */
	size_t places;
};

/* Whether the request, its tests or their programs name files of the store. */
bool request_pack_is_needed(const struct run_request *request);

/*
 * List the files. Returns 0, or -1 if there is no memory; request_pack_free is right either way.
 */
int request_pack_list(const struct run_request *request, struct request_pack *pack);

/*
 * The sizes of all files are known: give each its place in the pack, one behind the other in the
 * order of the list, and count them among the bytes of the lists. Call it once.
 */
void request_pack_settle(struct run_request *request, struct request_pack *pack);

/* The programs of a request: itself, its checkers, its interactor. NULL: there are no more. */
struct run_request *request_pack_program(struct run_request *request, size_t number);

/* The field in which that program is, for an error: "" or "checker." for instance. */
const char *request_pack_program_label(const struct run_request *request, size_t number);

void request_pack_free(struct request_pack *pack);

#endif
