/* collected.c - see collected.h. Runs in the worker. */
#define _GNU_SOURCE
#include "collected.h"

#include <fcntl.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64.h"
#include "collection.h"
#include "json_text.h"
#include "mime.h"

#define NEEDED_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)
#define FAILED "service"
#define HEAD_BYTES 4096 /* of a file for the store, to guess its type by */
#define TEXT_GROWTH 2   /* a text that is more times as long as JSON is sent as base64 */

static const char *const reasons[COLLECT_KINDS] = { [COLLECT_FILE] = NULL,
	[COLLECT_SYMLINK] = "symlink",
	[COLLECT_FIFO] = "fifo",
	[COLLECT_SOCKET] = "socket",
	[COLLECT_DEVICE] = "device",
	[COLLECT_UNREADABLE] = "unreadable",
	[COLLECT_DEEP] = "too_deep" };

static const char *const ends[COLLECT_ENDS] = {
	[COLLECT_ALL] = NULL, [COLLECT_END_FILES] = "files", [COLLECT_END_LOOKED] = "names", [COLLECT_END_TIME] = "time"
};

static bool
is_text(const struct text *content)
{
	return memchr(content->bytes, '\0', content->size) == NULL &&
	    json_text_well_formed(content->bytes, content->size) == content->size;
}

/* The store computes the digest of a file for it. */
static void
describe_for_store(struct collected_file *file)
{
	struct text head = file->content;

	if (head.size > HEAD_BYTES)
		head.size = json_text_trim(head.bytes, HEAD_BYTES);
	file->mime = mime_guess(&file->path, &head, is_text(&head));
}

static void
describe(struct collected_file *file)
{
	const struct text *content = &file->content;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX context;
	size_t length = json_text_length(content->bytes, content->size);

	file->is_text = is_text(content) && length <= TEXT_GROWTH * content->size;
	file->json_length = file->is_text ? length : BASE64_LENGTH(content->size);
	file->mime = mime_guess(&file->path, content, file->is_text);
	SHA256Init(&context);
	SHA256Update(&context, (const uint8_t *)content->bytes, content->size);
	SHA256Final(digest, &context);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(file->sha256 + 2 * i, 3, "%02x", digest[i]);
}

/* Read the entry at *at. Returns 0, or -1 if there is none. */
static int
take_entry(const struct collected *collected, size_t *at, struct collected_file *file)
{
	size_t left = collected->map_size - *at;
	struct collect_file head;

	if (left < sizeof head)
		return -1;
	memcpy(&head, collected->map + *at, sizeof head);
	left -= sizeof head;
	if (head.kind >= COLLECT_KINDS || head.path_bytes == 0 || head.path_bytes > COLLECT_PATTERN_MOST ||
	    head.path_bytes > left || head.content_bytes > left - head.path_bytes || head.content_bytes > head.size)
		return -1;
	*at += sizeof head;
	*file = (struct collected_file){ .path = { collected->map + *at, head.path_bytes },
		.reason = reasons[head.kind],
		.size = head.size,
		.content = { collected->map + *at + head.path_bytes, head.content_bytes } };
	*at += head.path_bytes + head.content_bytes;
	/* JSON has no other names. This one is shown with U+FFFD. */
	if (json_text_well_formed(file->path.bytes, file->path.size) != file->path.size)
		file->reason = "name";
	if (file->reason != NULL)
		file->content.size = 0;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const struct text *left = &((const struct collected_file *)a)->path, *right = &((const struct collected_file *)b)->path;
	int order = memcmp(left->bytes, right->bytes, left->size < right->size ? left->size : right->size);

	return order != 0 ? order : left->size < right->size ? -1 : left->size > right->size;
}

/*
 * Decide which files go into the store, and cut the content of those that do not fit into the
 * reply.
 */
static void
settle(struct collected *collected, const struct collect_form *form)
{
	uint64_t left = form->content_bytes;

	for (size_t i = 0; i < collected->count; i++) {
		struct collected_file *file = &collected->file[i];

		if (file->reason != NULL)
			continue;
		file->is_for_store = form->can_store && file->content.size == file->size && (form->as_id || file->size > left);
		if (file->is_for_store) {
			describe_for_store(file);
			continue;
		}
		if (file->content.size > left)
			file->content.size = left;
		left -= file->content.size;
		describe(file);
	}
}

/* Map the memfd, if nobody can change it any more. Returns 0, or -1. */
static int
map(struct collected *collected, int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	char *bytes;

	if (seals < 0 || (seals & NEEDED_SEALS) != NEEDED_SEALS || fstat(fd, &st) != 0 ||
	    st.st_size < (off_t)sizeof(struct collect_result))
		return -1;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return -1;
	collected->map = bytes;
	collected->map_size = (size_t)st.st_size;
	return 0;
}

/* Returns 0, or -1 if the memory is not as it should be. */
static int
take_entries(struct collected *collected)
{
	struct collect_result head;
	size_t at = sizeof head;

	memcpy(&head, collected->map, sizeof head);
	if (head.magic != COLLECT_MAGIC || head.files > COLLECT_FILES_MOST || head.end >= COLLECT_ENDS)
		return -1;
	collected->incomplete = ends[head.end];
	if (head.files == 0)
		return 0;
	collected->file = calloc(head.files, sizeof *collected->file);
	if (collected->file == NULL)
		return -1;
	while (collected->count < head.files) {
		if (take_entry(collected, &at, &collected->file[collected->count]) != 0)
			return -1;
		collected->count++;
	}
	qsort(collected->file, collected->count, sizeof *collected->file, compare);
	return 0;
}

void
collected_take(struct collected *collected, int fd, const struct collect_form *form)
{
	*collected = (struct collected){ .was_asked = true, .fd = -1 };
	if (fd < 0 || map(collected, fd) != 0 || take_entries(collected) != 0) {
		collected_release(collected);
		collected->was_asked = true;
		collected->incomplete = FAILED;
	}
	settle(collected, form);
	for (size_t i = 0; i < collected->count && collected->fd < 0; i++) {
		if (collected->file[i].is_for_store)
			collected->fd = fd;
	}
	if (fd >= 0 && collected->fd < 0)
		close(fd);
}

void
collected_release(struct collected *collected)
{
	free(collected->file);
	if (collected->map != NULL)
		munmap(collected->map, collected->map_size);
	if (collected->was_asked && collected->fd >= 0)
		close(collected->fd);
	*collected = (struct collected){ .fd = -1 };
}
