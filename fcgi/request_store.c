/* request_store.c - see request_store.h. Runs in the worker. */
#define _GNU_SOURCE
#include "request_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_key.h"
#include "log_limit.h"
#include "request_pack.h"
#include "request_tests.h"
#include "sealed_memfd.h"

#define BLOCK_BYTES (256 * 1024)
#define NAMED 5 /* ids in a message; the list has them all */
#define NOT_KEPT "store"

/* The fetching of one request's files. */
struct fetch {
	struct request_store *store;
	const char *key;
	struct request_pack pack;
	uint64_t bytes;         /* of all files */
	enum store_fault fault; /* of the last file */
	const char *lost;       /* the id of a file that went meanwhile; NULL: none */
};

void
request_store_init(struct request_store *store)
{
	store->link.fd = -1;
	store->link.is_hasty = false;
	store->pack_fd = -1;
	store->missing = NULL;
	store->cause = NULL;
}

void
request_store_end(struct request_store *store)
{
	store_link_close(&store->link);
	if (store->pack_fd >= 0)
		close(store->pack_fd);
	store->pack_fd = -1;
	free(store->missing);
	store->missing = NULL;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void
name_key(struct store_request *request, const char *key)
{
	snprintf(request->key, sizeof request->key, "%s", key);
}

static unsigned
digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* The digest of an id that request_files.c has checked. */
static void
read_id(const char *id, uint8_t digest[PROTO_DIGEST_SIZE])
{
	const char *hex = id + strlen(STORE_ID_PREFIX);

	for (size_t i = 0; i < PROTO_DIGEST_SIZE; i++)
		digest[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
}

/* Open a file. Returns 0; or -1 with fetch->fault, for STORE_FAILED with the link's error, too. */
static int
open_stored(struct fetch *fetch, const char *id, int *fd)
{
	struct store_request request = { .kind = STORE_OPEN };
	struct store_reply reply;
	struct store_more more;

	name_key(&request, fetch->key);
	read_id(id, request.digest);
	fetch->fault = STORE_FAILED;
	if (store_link_ask(&fetch->store->link, &request, &more, &reply) != 0)
		return -1;
	fetch->fault = (enum store_fault)reply.fault;
	if (fetch->fault == STORE_UNKNOWN)
		fetch->lost = id;
	*fd = more.fd;
	return fetch->fault == STORE_OK ? 0 : -1;
}

/* Ask for the sizes of all files. Returns 0; or -1 with the link's error. */
static int
ask_sizes(struct fetch *fetch, uint8_t (*digest)[PROTO_DIGEST_SIZE], uint64_t *size)
{
	struct store_request request = { .kind = STORE_FIND, .count = (uint32_t)fetch->pack.count };
	struct store_more more = { .digests = (const uint8_t(*)[PROTO_DIGEST_SIZE])digest, .sizes = size };
	struct store_reply reply;

	for (size_t i = 0; i < fetch->pack.count; i++)
		read_id(fetch->pack.file[i].id, digest[i]);
	name_key(&request, fetch->key);
	fetch->fault = STORE_FAILED;
	if (store_link_ask(&fetch->store->link, &request, &more, &reply) != 0)
		return -1;
	for (size_t i = 0; i < fetch->pack.count; i++)
		fetch->pack.file[i].size = size[i];
	return 0;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* The key has not all of the files. Returns -1. */
static int
refuse_missing(struct fetch *fetch, struct http_error *error)
{
	uint32_t listed = 0;
	size_t size = 0;
	FILE *out = open_memstream(&fetch->store->missing, &size);

	if (out == NULL)
		return http_error_set(error, 500, "out of memory");
	http_error_set(error, 400, "files: this key has not stored these; upload them first:");
	fputs(",\"missing\":[", out);
	for (size_t i = 0; i < fetch->pack.count; i++) {
		const char *id = fetch->pack.file[i].id;

		if (fetch->pack.file[i].size != STORE_NO_SIZE)
			continue;
		fprintf(out, "%s\"%s\"", listed > 0 ? "," : "", id);
		if (listed < NAMED)
			http_error_append(error, "%s %s", listed > 0 ? "," : "", id);
		listed++;
	}
	fputc(']', out);
	if (listed > NAMED)
		http_error_append(error, ", and %" PRIu32 " more", listed - NAMED);
	if (fclose(out) != 0)
		return http_error_set(error, 500, "out of memory");
	return -1;
}

/* Set `error` to why a file did not come. Returns -1. */
static int
refuse_fault(struct fetch *fetch, struct http_error *error)
{
	if (fetch->lost != NULL) {
		for (size_t i = 0; i < fetch->pack.count; i++) {
			if (fetch->pack.file[i].id == fetch->lost)
				fetch->pack.file[i].size = STORE_NO_SIZE;
		}
		return refuse_missing(fetch, error);
	}
	if (fetch->fault == STORE_BUSY)
		return http_error_set(error, 503, "busy: runs in progress have as much of the store as they may");
	if (fetch->fault != STORE_OK) {
		fetch->store->cause = fetch->store->link.error;
		return http_error_set(error, 503, "the store cannot be reached");
	}
	return http_error_set(error, 500, "the files could not be written into the pack: %s", strerror(errno));
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Find the sizes of all. Returns 0, or -1 with `error` set. */
static int
find_files(struct fetch *fetch, const struct config *config, struct http_error *error)
{
	uint8_t(*digest)[PROTO_DIGEST_SIZE] = malloc(fetch->pack.count * sizeof *digest);
	uint64_t *size = malloc(fetch->pack.count * sizeof *size), most = config->store_run_bytes / 2;
	bool has_memory = digest != NULL && size != NULL, has_asked = has_memory && ask_sizes(fetch, digest, size) == 0;

	free(digest);
	free(size);
	if (!has_memory)
		return http_error_set(error, 500, "out of memory");
	if (!has_asked)
		return refuse_fault(fetch, error);
	for (size_t i = 0; i < fetch->pack.count; i++) {
		if (fetch->pack.file[i].size == STORE_NO_SIZE)
			return refuse_missing(fetch, error);
		fetch->bytes += fetch->pack.file[i].size;
	}
	if (fetch->bytes <= most)
		return 0;
	return http_error_set(error, 400,
	    "files: those in the store have %" PRIu64 " bytes together; a request may have %" PRIu64 " from there", fetch->bytes,
	    most);
}

/* The sizes are known: each program and each test must have room for its files. */
static int
check_bytes(struct run_request *request, struct http_error *error)
{
	struct run_request *program;

	for (size_t i = 0; (program = request_pack_program(request, i)) != NULL; i++) {
		struct http_error inner;

		if (request_files_check_bytes(&program->files, &program->limits, &inner) != 0)
			return http_error_set(error, inner.status, "%s%.440s", request_pack_program_label(request, i),
			    inner.text);
	}
	return request_tests_check_bytes(request, error);
}

static int
write_at(int fd, const char *bytes, size_t size, off_t at)
{
	struct iovec iov = { (void *)bytes, size };

	return sealed_memfd_write(fd, at, &iov, 1);
}

/* Copy a file into the pack. A descriptor of the store never goes further than this process. */
static int
copy_file(struct fetch *fetch, const struct pack_file *file, char *block)
{
	uint64_t left = file->size;
	off_t from = 0;
	int fd, result = 0;

	if (open_stored(fetch, file->id, &fd) != 0)
		return -1;
	while (left > 0 && result == 0) {
		ssize_t n = pread(fd, block, left < BLOCK_BYTES ? left : BLOCK_BYTES, from);

		if (n <= 0) {
			errno = n < 0 ? errno : EIO;
			result = -1;
		} else {
			result = write_at(fetch->store->pack_fd, block, (size_t)n, (off_t)file->at + from);
			from += n;
			left -= (uint64_t)n;
		}
	}
	close(fd);
	return result;
}

/* Write and seal the pack. Returns 0, or -1 with `error` set. */
static int
write_pack(struct fetch *fetch, struct http_error *error)
{
	char *block = malloc(BLOCK_BYTES);
	int result = -1;

	if (block == NULL)
		return http_error_set(error, 500, "out of memory");
	fetch->fault = STORE_OK;
	fetch->store->pack_fd = sealed_memfd_begin("cellblock-pack", SEALED_MEMFD_DATA);
	if (fetch->store->pack_fd >= 0)
		result = 0;
	for (size_t i = 0; i < fetch->pack.count && result == 0; i++)
		result = copy_file(fetch, &fetch->pack.file[i], block);
	free(block);
	if (result == 0)
		result = sealed_memfd_finish(fetch->store->pack_fd);
	return result == 0 ? 0 : refuse_fault(fetch, error);
}

/* The file that `main` names: its content becomes the code, and it is like one of the request's. */
static int
load_main(const struct config *config, struct run_request *run, int pack_fd, const char *label, struct http_error *error)
{
	struct request_file *file = run->files.stored_main;
	uint64_t size = file->stored_bytes, at = 0;

	if (size == 0)
		return http_error_set(error, 400, "%smain: \"%.96s\" must not be empty", label, file->path.bytes);
	if (size > config->body_bytes)
		return http_error_set(error, 400, "%smain: \"%.96s\" must not be larger than %" PRIu64 " bytes", label,
		    file->path.bytes, config->body_bytes);
	file->decoded = malloc(size);
	if (file->decoded == NULL)
		return http_error_set(error, 500, "out of memory");
	while (at < size) {
		ssize_t n = pread(pack_fd, file->decoded + at, size - at, (off_t)(file->packed.at + at));

		if (n <= 0)
			return http_error_set(error, 500, "the pack cannot be read");
		at += (uint64_t)n;
	}
	file->content = (struct text){ file->decoded, size };
	file->id = NULL;
	run->files.stored--;
	request_set_code(config, run, &file->content);
	return 0;
}

static int
fetch_files(struct fetch *fetch, const struct config *config, struct run_request *request, struct http_error *error)
{
	struct run_request *program;

	if (request_pack_list(request, &fetch->pack) != 0)
		return http_error_set(error, 500, "out of memory");
	if (fetch->pack.count > STORE_IDS_MOST)
		return http_error_set(error, 400, "files: there must not be more than %d different ids", STORE_IDS_MOST);
	if (store_link_connect(&fetch->store->link, config) != 0) {
		fetch->fault = STORE_FAILED;
		return refuse_fault(fetch, error);
	}
	if (find_files(fetch, config, error) != 0)
		return -1;
	request_pack_settle(request, &fetch->pack);
	if (check_bytes(request, error) != 0 || write_pack(fetch, error) != 0)
		return -1;
	for (size_t i = 0; (program = request_pack_program(request, i)) != NULL; i++) {
		const char *label = request_pack_program_label(request, i);

		program->pack_fd = fetch->store->pack_fd;
		if (program->files.stored_main != NULL && load_main(config, program, fetch->store->pack_fd, label, error) != 0)
			return -1;
	}
	return 0;
}

int
request_store_fetch(struct request_store *store, const struct config *config, const char *key, struct run_request *request,
    struct http_error *error)
{
	struct fetch fetch = { .store = store, .key = key };
	int result = fetch_files(&fetch, config, request, error);

	request_pack_free(&fetch.pack);
	return result;
}

/* ---- files that a run has left ------------------------------------------------------------------------------------ */

/* Returns NULL; or why the file is not in the store, for the log. */
static const char *
keep_file(struct request_store *store, const char *key, const struct collected *collected, struct collected_file *file)
{
	struct store_request request = { .kind = STORE_KEEP,
		.offset = (uint64_t)(file->content.bytes - collected->map),
		.size = file->size };
	struct store_more more = { .sent_fd = collected->fd };
	struct store_reply reply;

	name_key(&request, key);
	if (store_link_ask(&store->link, &request, &more, &reply) != 0)
		return store->link.error;
	if (reply.fault != STORE_OK)
		return reply.fault == STORE_FAILED ? "the store could not" : "";
	config_key_hex(reply.digest, file->sha256);
	return NULL;
}

void
request_store_keep(struct request_store *store, const struct config *config, const char *key, struct collected *collected)
{
	static struct log_limit limit;

	for (size_t i = 0; i < collected->count; i++) {
		struct collected_file *file = &collected->file[i];
		const char *why;

		if (!file->is_for_store)
			continue;
		why = store_link_connect(&store->link, config) != 0 ? store->link.error : keep_file(store, key, collected, file);
		if (why == NULL)
			continue;
		/* A full quota is the client's to know, from the reply. */
		if (*why != '\0')
			log_limit_warn(&limit, "keep a file that a run has left: %s", why);
		file->is_for_store = false;
		file->reason = NOT_KEPT;
	}
}
