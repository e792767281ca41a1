/*
 * request_store.h - the files of a request that are in the store: their contents go from the store
 * into the pack (job.h), and the files that a run has left go into the store.
 */
#ifndef CELLBLOCK_REQUEST_STORE_H
#define CELLBLOCK_REQUEST_STORE_H

#include "collected.h"
#include "config.h"
#include "http_error.h"
#include "request.h"
#include "store_link.h"

struct request_store {
	struct store_link link; /* open while the request has what it got */
	int pack_fd;            /* sealed, and lent to the request; -1: none */
	char *missing;          /* the members of an error's envelope that list the ids to upload, for free(); or NULL */
	const char *cause;      /* of an error, for the log; NULL: none */
};

/* Initialise it. Costs nothing. */
void request_store_init(struct request_store *store);

/*
 * Fetch the files that the request, its tests and their programs name, from those that the key
 * `key` has in the store: each once, into the pack. Call it if request_pack_is_needed. Returns 0;
 * or -1 with `error` set, and `missing` or `cause` if that is why. The caller calls
 * request_store_end when the runs have ended.
 */
int request_store_fetch(struct request_store *store, const struct config *config, const char *key, struct run_request *request,
    struct http_error *error);

/*
 * Keep those of the collected files that are to be in the store, as files of the key. One that the
 * store does not take gets a reason.
 */
void request_store_keep(struct request_store *store, const struct config *config, const char *key, struct collected *collected);

void request_store_end(struct request_store *store);

#endif
