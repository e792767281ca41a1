/* digest.c - see digest.h. Runs in the worker. */
#include "digest.h"

#include <sha2.h>
#include <string.h>

_Static_assert(SHA256_DIGEST_LENGTH == PROTO_DIGEST_SIZE, "a digest is SHA-256");

void
digest_source(const struct run_request *request, const char *key_name, uint8_t digest[PROTO_DIGEST_SIZE])
{
	uint64_t preload_bytes = request->preload.size;
	uint32_t options = request->compiler_options;
	SHA2_CTX context;

	SHA256Init(&context);
	/*
	 * The NUL of the name, the options and the length of the preload come first, so that the
	 * boundaries are part of the digest.
	 */
	SHA256Update(&context, (const uint8_t *)key_name, strlen(key_name) + 1);
	SHA256Update(&context, (const uint8_t *)&options, sizeof options);
	SHA256Update(&context, (const uint8_t *)&preload_bytes, sizeof preload_bytes);
	SHA256Update(&context, (const uint8_t *)request->preload.bytes, request->preload.size);
	SHA256Update(&context, (const uint8_t *)request->code.bytes, request->code.size);
	SHA256Final(digest, &context);
}
