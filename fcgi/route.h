/* route.h - serves one request, from its parameters to its line in the log. */
#ifndef CELLBLOCK_ROUTE_H
#define CELLBLOCK_ROUTE_H

#include <fcgiapp.h>

#include "exchange.h"
#include "http_error.h"
#include "request.h"

/* Answer and finish the request that libfcgi has accepted, and log it in one line. */
void route_serve(struct worker *worker, FCGX_Request *fcgi);

/* ---- for adapters/ ---- */

/* Read the whole body. Returns it, for free(); or NULL with `error` set. */
char *route_read_body(struct worker *worker, struct exchange *exchange, size_t *size, struct http_error *error);

/*
 * Carry out a request that auth_check_request has passed, and that may wait for exchange->queue_ms.
 * The request is freed, but for its numbers. Returns 0 with the outcome in worker->run; or -1 with
 * `error` set, and in *cause the reason for the log, or NULL. The caller then calls run_release.
 */
int route_run(struct worker *worker, struct exchange *exchange, struct run_request *request, struct http_error *error,
    const char **cause);

#endif
