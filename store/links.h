/*
 * links.h - the store's side of the connections of workers and the status process
 * (store_proto.h).
 *
 * Some threads share one socket. What a client asks takes little time, but for STORE_KEEP, which
 * other connections of the same thread wait for.
 */
#ifndef CELLBLOCK_STORE_LINKS_H
#define CELLBLOCK_STORE_LINKS_H

#include "config.h"
#include "config_key.h"
#include "store.h"

#define LINKS_THREADS 4
#define LINKS_MOST 600 /* connections; what comes beyond is closed */

/*
 * Make the socket below `dir_fd`, the directory of the store, in the place of an earlier process's.
 * Dies if that fails.
 */
void links_begin(const struct config *config, const struct key_list *keys, struct store *store, int dir_fd);

/* Serve connections until `stop_fd` can be read. A thread calls this. */
void links_serve(int stop_fd);

/* Remove the socket. */
void links_end(int dir_fd);

/* The most bytes that a key may have in the store. */
uint64_t links_quota(const char *key);

/* The bytes that runs in progress have. */
uint64_t links_run_bytes(void);

#endif
