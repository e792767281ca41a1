/* digest.h - the name of a source for the runner, which does not read it. */
#ifndef CELLBLOCK_DIGEST_H
#define CELLBLOCK_DIGEST_H

#include <stdint.h>

#include "proto.h"
#include "request.h"

/* SHA-256 of the compiler's input: preload and code. */
void digest_source(const struct run_request *request, uint8_t digest[PROTO_DIGEST_SIZE]);

#endif
