/*
 * cors.h - what a browser is told about the pages that may use the service (worker.cors): the
 * headers of Cross-Origin Resource Sharing.
 */
#ifndef CELLBLOCK_CORS_H
#define CELLBLOCK_CORS_H

#include <stdbool.h>

#include "config.h"
#include "reply.h"

/*
 * Add the headers for a page of `origin` to a reply. Nothing is added if no origin is configured.
 * Returns whether a page of `origin` may use the service.
 */
bool cors_add_headers(const struct config *config, const char *origin, struct reply *reply);

/*
 * Answer the OPTIONS request by which a browser asks, without a key, whether it may send the real
 * one, with `method`. Called after cors_add_headers returned true.
 */
void cors_answer_preflight(struct reply *reply, const char *method);

#endif
