/* request_collect.h - parses and checks the field `collect`: the files of a run to return. */
#ifndef CELLBLOCK_REQUEST_COLLECT_H
#define CELLBLOCK_REQUEST_COLLECT_H

#include "config.h"
#include "http_error.h"
#include "request.h"

/*
 * Take the patterns of a request, and how the files come back. Returns 0, or -1 with `error` set;
 * patterns->bytes is for free() either way.
 */
int request_collect_take(const struct config *config, struct json_object *tree, struct block *patterns, struct collect_form *form,
    struct http_error *error);

#endif
