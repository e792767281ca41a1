/* reply_files.c - see reply_files.h. Runs in the worker. */
#define _GNU_SOURCE
#include "reply_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "json_text.h"

#define REST_SIZE 384    /* of an entry, without its path and content */
#define BLOCK_BYTES 6144 /* of content at a time; a multiple of 3 */

static const char begin[] = ",\"files\":[", before_path[] = "{\"path\":\"", before_end[] = "]";

static bool
has_content(const struct collected_file *file)
{
	return file->reason == NULL && !file->is_for_store;
}

/* An entry from behind its path up to its content. */
static int
describe_file(const struct collected_file *file, char *text)
{
	if (file->reason != NULL)
		return snprintf(text, REST_SIZE, "\",\"size\":%" PRIu64 ",\"reason\":\"%s\",\"content\":null", file->size,
		    file->reason);
	if (file->is_for_store)
		return snprintf(text, REST_SIZE,
		    "\",\"size\":%" PRIu64
		    ",\"sha256\":\"%s\",\"mime\":\"%s\",\"id\":\"sha256:%s\",\"truncated\":false,\"content\":null",
		    file->size, file->sha256, file->mime, file->sha256);
	return snprintf(text, REST_SIZE,
	    "\",\"size\":%" PRIu64 ",\"sha256\":\"%s\",\"mime\":\"%s\",\"encoding\":\"%s\",\"truncated\":%s,\"content\":\"",
	    file->size, file->sha256, file->mime, file->is_text ? "utf-8" : "base64",
	    file->content.size < file->size ? "true" : "false");
}

static const char *
after_content(const struct collected_file *file)
{
	return has_content(file) ? "\"}" : "}";
}

static int
describe_collection(const struct collected *collected, char *text)
{
	if (collected->incomplete == NULL)
		return snprintf(text, REST_SIZE, ",\"collect\":{\"complete\":true,\"reason\":null}");
	return snprintf(text, REST_SIZE, ",\"collect\":{\"complete\":false,\"reason\":\"%s\"}", collected->incomplete);
}

size_t
reply_files_length(const struct collected *collected)
{
	size_t length = strlen(begin);
	char text[REST_SIZE];

	if (!collected->was_asked)
		return 0;
	for (size_t i = 0; i < collected->count; i++) {
		const struct collected_file *file = &collected->file[i];

		length += (i > 0) + strlen(before_path) + json_text_length(file->path.bytes, file->path.size) +
		    (size_t)describe_file(file, text) + (has_content(file) ? file->json_length : 0) + strlen(after_content(file));
	}
	return length + strlen(before_end) + (size_t)describe_collection(collected, text);
}

static void
put_base64(struct reply *reply, const struct text *content)
{
	char block[BASE64_LENGTH(BLOCK_BYTES)];

	for (size_t at = 0, part; at < content->size; at += part) {
		part = content->size - at < BLOCK_BYTES ? content->size - at : BLOCK_BYTES;
		base64_encode(content->bytes + at, part, block);
		reply_put(reply, block, BASE64_LENGTH(part));
	}
}

void
reply_files_put_one(struct reply *reply, const struct collected_file *file)
{
	char text[REST_SIZE];

	reply_put(reply, before_path, strlen(before_path));
	reply_put_escaped(reply, file->path.bytes, file->path.size);
	reply_put(reply, text, (size_t)describe_file(file, text));
	if (has_content(file) && file->is_text)
		reply_put_escaped(reply, file->content.bytes, file->content.size);
	else if (has_content(file))
		put_base64(reply, &file->content);
	reply_put(reply, after_content(file), strlen(after_content(file)));
}

void
reply_files_put(struct reply *reply, const struct collected *collected)
{
	char text[REST_SIZE];

	if (!collected->was_asked)
		return;
	if (reply->form == EVENT_NONE) {
		reply_put(reply, begin, strlen(begin));
		for (size_t i = 0; i < collected->count; i++) {
			reply_put(reply, ",", i > 0);
			reply_files_put_one(reply, &collected->file[i]);
		}
		reply_put(reply, before_end, strlen(before_end));
	}
	reply_put(reply, text, (size_t)describe_collection(collected, text));
}
