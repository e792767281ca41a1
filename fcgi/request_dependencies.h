/* request_dependencies.h - the packages that a request says its program needs. */
#ifndef CELLBLOCK_REQUEST_DEPENDENCIES_H
#define CELLBLOCK_REQUEST_DEPENDENCIES_H

#include "request.h"

/*
 * Take the field "dependencies" of a request into `needs`, if "strict" says that the run must not
 * begin without them: for each a name, and a version or "". Without "strict" any value is ignored.
 * Returns 0, and `needs` owns its bytes; or -1 with `error` set.
 */
int request_dependencies_take(const struct language_config *language, struct json_object *tree, struct block *needs,
    struct http_error *error);

#endif
