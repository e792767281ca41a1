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
#include "memfd.h"
#include "sealed_memfd.h"

#define BLOCK_BYTES (256 * 1024)
#define NAMED 5 /* ids in a message; the list has them all */
#define NOT_KEPT "store"

/* The fetching of one request's files. */
struct fetch {
	struct request_store *store;
	const char *key;
	struct request_file **file; /* those in the store */
	uint8_t (*digest)[PROTO_DIGEST_SIZE];
	uint64_t *size;
	uint32_t count;
	char *block;
	enum store_fault fault; /* of the last file */
	const char *lost;       /* the id of a file that went meanwhile; NULL: none */
};

void
request_store_init(struct request_store *store)
{
	store->link.fd = -1;
	store->link.is_hasty = false;
	store->missing = NULL;
	store->cause = NULL;
}

void
request_store_end(struct request_store *store)
{
	store_link_close(&store->link);
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

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* Two files may have the same id. */
static bool
is_listed(const struct fetch *fetch, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++) {
		if (fetch->size[i] == STORE_NO_SIZE && memcmp(fetch->digest[i], fetch->digest[at], PROTO_DIGEST_SIZE) == 0)
			return true;
	}
	return false;
}

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
	for (uint32_t i = 0; i < fetch->count; i++) {
		const char *id = fetch->file[i]->id;

		if (fetch->size[i] != STORE_NO_SIZE || is_listed(fetch, i))
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
		for (uint32_t i = 0; i < fetch->count; i++) {
			if (strcmp(fetch->file[i]->id, fetch->lost) == 0)
				fetch->size[i] = STORE_NO_SIZE;
		}
		return refuse_missing(fetch, error);
	}
	if (fetch->fault == STORE_BUSY)
		return http_error_set(error, 503, "busy: runs in progress have as much of the store as they may");
	if (fetch->fault != STORE_OK) {
		fetch->store->cause = fetch->store->link.error;
		return http_error_set(error, 503, "the store cannot be reached");
	}
	return http_error_set(error, 500, "the files could not be written into the job: %s", strerror(errno));
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Make the lists. Returns 0, or -1. */
static int
list_files(struct fetch *fetch, struct request_files *files)
{
	fetch->file = malloc(files->stored * sizeof(struct request_file *));
	fetch->digest = malloc(files->stored * sizeof *fetch->digest);
	fetch->size = malloc(files->stored * sizeof *fetch->size);
	fetch->block = malloc(BLOCK_BYTES);
	if (fetch->file == NULL || fetch->digest == NULL || fetch->size == NULL || fetch->block == NULL)
		return -1;
	for (size_t i = 0; i < files->count; i++) {
		if (files->file[i].id == NULL)
			continue;
		read_id(files->file[i].id, fetch->digest[fetch->count]);
		fetch->file[fetch->count++] = &files->file[i];
	}
	return 0;
}

/* Find the sizes of all. Returns 0, or -1 with `error` set. */
static int
find_files(struct fetch *fetch, struct run_request *run, uint64_t most, struct http_error *error)
{
	struct store_request request = { .kind = STORE_FIND, .count = fetch->count };
	struct store_more more = { .digests = (const uint8_t(*)[PROTO_DIGEST_SIZE])fetch->digest, .sizes = fetch->size };
	struct store_reply reply;
	uint64_t bytes = 0;

	name_key(&request, fetch->key);
	fetch->fault = STORE_FAILED;
	if (store_link_ask(&fetch->store->link, &request, &more, &reply) != 0)
		return refuse_fault(fetch, error);
	for (uint32_t i = 0; i < fetch->count; i++) {
		if (fetch->size[i] == STORE_NO_SIZE)
			return refuse_missing(fetch, error);
		fetch->file[i]->stored_bytes = fetch->size[i];
		bytes += fetch->size[i];
	}
	run->files.bytes += bytes;
	if (request_files_check_bytes(&run->files, &run->limits, error) != 0)
		return -1;
	if (bytes > most)
		return http_error_set(error, 400,
		    "files: those in the store have %" PRIu64 " bytes together; a run may have %" PRIu64 " from there", bytes,
		    most);
	return 0;
}

static int
write_at(int fd, const char *bytes, size_t size, off_t at)
{
	struct iovec iov = { (void *)bytes, size };

	return sealed_memfd_write(fd, at, &iov, 1);
}

/* Copy a file into the job. A descriptor of the store never goes further than this process. */
static int
copy_file(void *context, const struct request_file *file, int job_fd, off_t at)
{
	struct fetch *fetch = context;
	uint64_t left = file->stored_bytes;
	off_t from = 0;
	int fd, result = 0;

	if (open_stored(fetch, file->id, &fd) != 0)
		return -1;
	while (left > 0 && result == 0) {
		ssize_t n = pread(fd, fetch->block, left < BLOCK_BYTES ? left : BLOCK_BYTES, from);

		if (n <= 0) {
			errno = n < 0 ? errno : EIO;
			result = -1;
		} else {
			result = write_at(job_fd, fetch->block, (size_t)n, at + from);
			from += n;
			left -= (uint64_t)n;
		}
	}
	close(fd);
	return result;
}

/* The file that `main` names: its content becomes the code, and it is like one of the request's. */
static int
load_main(struct fetch *fetch, const struct config *config, struct run_request *run, struct http_error *error)
{
	struct request_file *file = run->files.stored_main;
	uint64_t size = file->stored_bytes, at = 0;
	int fd;

	if (size == 0)
		return http_error_set(error, 400, "main: \"%.96s\" must not be empty", file->path.bytes);
	if (size > config->body_bytes)
		return http_error_set(error, 400, "main: \"%.96s\" must not be larger than %" PRIu64 " bytes", file->path.bytes,
		    config->body_bytes);
	file->decoded = malloc(size);
	if (file->decoded == NULL)
		return http_error_set(error, 500, "out of memory");
	if (open_stored(fetch, file->id, &fd) != 0)
		return refuse_fault(fetch, error);
	while (at < size) {
		ssize_t n = pread(fd, file->decoded + at, size - at, (off_t)at);

		if (n <= 0)
			break;
		at += (uint64_t)n;
	}
	close(fd);
	if (at < size)
		return refuse_fault(fetch, error);
	file->content = (struct text){ file->decoded, size };
	file->id = NULL;
	run->files.stored--;
	request_set_code(config, run, &file->content);
	return 0;
}

static int
fetch_files(struct fetch *fetch, const struct config *config, struct run_request *run, struct http_error *error)
{
	const struct memfd_source source = { .write = copy_file, .context = fetch };

	if (list_files(fetch, &run->files) != 0)
		return http_error_set(error, 500, "out of memory");
	if (store_link_connect(&fetch->store->link, config) != 0) {
		fetch->fault = STORE_FAILED;
		return refuse_fault(fetch, error);
	}
	if (find_files(fetch, run, config->store_run_bytes / 2, error) != 0)
		return -1;
	if (run->files.stored_main != NULL && load_main(fetch, config, run, error) != 0)
		return -1;
	fetch->fault = STORE_OK;
	run->job_fd = memfd_job_from(run, &source);
	if (run->job_fd > 0)
		return 0;
	run->job_fd = 0;
	return refuse_fault(fetch, error);
}

int
request_store_fetch(struct request_store *store, const struct config *config, const char *key, struct run_request *request,
    struct http_error *error)
{
	struct fetch fetch = { .store = store, .key = key };
	int result = fetch_files(&fetch, config, request, error);

	free(fetch.file);
	free(fetch.digest);
	free(fetch.size);
	free(fetch.block);
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
