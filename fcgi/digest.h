/* digest.h - the name of a source for the runner, which does not read it. */
#ifndef CELLBLOCK_DIGEST_H
#define CELLBLOCK_DIGEST_H

#include <stdint.h>

#include "proto.h"
#include "request.h"

/*
 * SHA-256 of the name of the client's key and of the compiler's input: preload, code and files.
 * With the name, no key learns from the time of a compilation that another one had the same source
 * compiled.
 */
void digest_source(const struct run_request *request, const char *key_name, uint8_t digest[PROTO_DIGEST_SIZE]);

#endif
