/* digest.c - see digest.h. Runs in the worker. */
#include "digest.h"

#include <sha2.h>
#include <string.h>

#include "store_proto.h"

_Static_assert(SHA256_DIGEST_LENGTH == PROTO_DIGEST_SIZE, "a digest is SHA-256");

static void
add_files(SHA2_CTX *context, const struct request_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct request_file *file = &files->file[i];
		/* The id of a stored file stands for its content. */
		const uint64_t head[] = { file->path.size, file->id != NULL ? file->stored_bytes : file->content.size,
			(uint64_t)file->is_executable | (uint64_t)(file->id != NULL) << 1 };

		SHA256Update(context, (const uint8_t *)head, sizeof head);
		SHA256Update(context, (const uint8_t *)file->path.bytes, file->path.size);
		if (file->id != NULL)
			SHA256Update(context, (const uint8_t *)file->id, STORE_ID_LENGTH);
		else
			SHA256Update(context, (const uint8_t *)file->content.bytes, file->content.size);
	}
}

void
digest_source(const struct run_request *request, const char *key_name, uint8_t digest[PROTO_DIGEST_SIZE])
{
	uint64_t preload_bytes = request->preload.size, files = request->files.count;
	uint32_t options = request->compiler_options;
	SHA2_CTX context;

	SHA256Init(&context);
	/*
	 * The NUL of the name, the options, the number of files and the lengths of the preload and
	 * of the main file's path come first, so that the boundaries are part of the digest.
	 */
	SHA256Update(&context, (const uint8_t *)key_name, strlen(key_name) + 1);
	SHA256Update(&context, (const uint8_t *)&options, sizeof options);
	SHA256Update(&context, (const uint8_t *)&files, sizeof files);
	SHA256Update(&context, (const uint8_t *)&preload_bytes, sizeof preload_bytes);
	SHA256Update(&context, (const uint8_t *)&request->main.size, sizeof request->main.size);
	SHA256Update(&context, (const uint8_t *)request->main.bytes, request->main.size);
	SHA256Update(&context, (const uint8_t *)request->preload.bytes, request->preload.size);
	add_files(&context, &request->files);
	SHA256Update(&context, (const uint8_t *)request->code.bytes, request->code.size);
	SHA256Final(digest, &context);
}
