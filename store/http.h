/* http.h - one HTTP request for a file of the store. */
#ifndef CELLBLOCK_STORE_HTTP_H
#define CELLBLOCK_STORE_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "config.h"
#include "config_key.h"
#include "exchange.h"
#include "store.h"

#define HTTP_TIMEOUT_S 15 /* nginx gives a client 10 */

struct http_context {
	const struct config *config;
	const struct key_list *keys;
	struct store *store;
	atomic_uint uploads;     /* in progress */
	atomic_uint *of_key;     /* requests in progress of each key of the list */
	atomic_bool is_stopping; /* uploads in progress have a few seconds */
};

/*
 * Serve one request, which libfcgi has accepted, with its line in the log. Closes the connection.
 */
void http_serve(struct http_context *context, FCGX_Request *fcgi);

#endif
