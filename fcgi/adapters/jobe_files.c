/*
 * jobe_files.c - the files of Jobe's clients. See jobe.h.
 *
 * Clients choose the ids of their files; by convention an id is the MD5 of the content. The store
 * keeps the content as it keeps any file of the key, and lets a name stand for it, which is made of
 * the client's id (store_proto.h). A later PUT of the same id gives the name to another content.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <json-c/json.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/adapter_content.h"
#include "adapters/jobe.h"
#include "base64.h"
#include "config_key.h"
#include "sealed_memfd.h"
#include "store_link.h"

#define ID_LEAST 8 /* characters, in the list of a run */
#define AWAY "the store cannot be reached"

/* Whether a text has nothing but letters and digits, and the characters of `others`. */
static bool
is_alphanumeric(const char *text, const char *others)
{
	for (; *text != '\0'; text++) {
		if (!isalnum((unsigned char)*text) && strchr(others, *text) == NULL)
			return false;
	}
	return true;
}

/* ---- the store --------------------------------------------------------------------------------------------------- */

/* A request to the store for the file that a client calls `id`. */
static struct store_request
request_for(const struct exchange *exchange, enum store_kind kind, const char *id)
{
	static const char protocol[] = "jobe";
	struct store_request request = { .kind = kind };
	SHA2_CTX context;

	/* With the NUL: no name of this protocol is one of another. */
	SHA256Init(&context);
	SHA256Update(&context, (const uint8_t *)protocol, sizeof protocol);
	SHA256Update(&context, (const uint8_t *)id, strlen(id));
	SHA256Final(request.digest, &context);
	snprintf(request.key, sizeof request.key, "%s", exchange->key->name);
	return request;
}

/*
 * Find the content that an id stands for, and whether the key has such an id. Returns 0, or -1 with
 * `error` set.
 */
static int
find_content(struct store_link *link, const struct exchange *exchange, const char *id, uint8_t digest[PROTO_DIGEST_SIZE],
    bool *is_there, struct http_error *error)
{
	struct store_request request = request_for(exchange, STORE_RESOLVE, id);
	struct store_reply reply;

	if (store_link_ask(link, &request, NULL, &reply) != 0)
		return http_error_set(error, 503, AWAY);
	memcpy(digest, reply.digest, sizeof reply.digest);
	*is_there = reply.fault == STORE_OK;
	return 0;
}

/* ---- the list of a run ------------------------------------------------------------------------------------------- */

static int
check_file(struct json_object *file, size_t at, struct http_error *error)
{
	size_t parts = json_object_is_type(file, json_type_array) ? json_object_array_length(file) : 0;
	const char *id = parts > 0 ? jobe_string_at(file, 0) : "", *name = parts > 1 ? jobe_string_at(file, 1) : "";

	if ((parts == 2 || parts == 3) && strlen(id) >= ID_LEAST && is_alphanumeric(id, "") && is_alphanumeric(name, "-_.") &&
	    strspn(name, "-_.") < strlen(name))
		return 0;
	return http_error_set(error, 400, "Invalid file specifier: file_list[%zu]", at);
}

/* Whether a later file of the list has the same name: the original writes one over the other. */
static bool
is_replaced(struct json_object *list, size_t at)
{
	const char *name = jobe_string_at(json_object_array_get_idx(list, at), 1);

	for (size_t i = at + 1; i < json_object_array_length(list); i++) {
		if (strcmp(jobe_string_at(json_object_array_get_idx(list, i), 1), name) == 0)
			return true;
	}
	return false;
}

static int
add_files(struct jobe_submission *submission, struct store_link *link, struct json_object *list, struct http_error *error)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *file = json_object_array_get_idx(list, i);
		char hex[2 * CONFIG_KEY_DIGEST_SIZE + 1], text[STORE_ID_LENGTH + 1];
		uint8_t digest[PROTO_DIGEST_SIZE];
		bool is_there = false;

		if (find_content(link, submission->exchange, jobe_string_at(file, 0), digest, &is_there, error) != 0)
			return -1;
		if (!is_there)
			return http_error_set(error, 404, JOBE_MISSING);
		if (is_replaced(list, i))
			continue;
		config_key_hex(digest, hex);
		snprintf(text, sizeof text, STORE_ID_PREFIX "%s", hex);
		adapter_stored_file(submission->ours, jobe_string_at(file, 1), text);
	}
	return 0;
}

int
jobe_files_take(struct jobe_submission *submission, struct json_object *spec, struct http_error *error)
{
	struct json_object *list = adapter_member(spec, "file_list");
	struct store_link link = { .fd = -1 };
	int result;

	if (list == NULL)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return http_error_set(error, 400, "The attribute 'file_list' of the run_spec must be a list");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		if (check_file(json_object_array_get_idx(list, i), i, error) != 0)
			return -1;
	}
	if (json_object_array_length(list) == 0)
		return 0;
	if (json_object_array_length(list) > STORE_IDS_MOST)
		return http_error_set(error, 400, "The attribute 'file_list' of the run_spec must not have more than %d files",
		    STORE_IDS_MOST);
	if (submission->worker->config->store_bytes == 0)
		return http_error_set(error, 404, JOBE_MISSING);
	if (store_link_connect(&link, submission->worker->config) != 0)
		return http_error_set(error, 503, AWAY);
	result = add_files(submission, &link, list, error);
	store_link_close(&link);
	return result;
}

/* ---- HEAD -------------------------------------------------------------------------------------------------------- */

/* Whether the content is there, too: it may have gone before its name. */
static int
find_whole(struct store_link *link, const struct exchange *exchange, const char *id, bool *is_there, struct http_error *error)
{
	uint8_t digest[1][PROTO_DIGEST_SIZE];
	uint64_t size = STORE_NO_SIZE;
	struct store_request request = { .kind = STORE_FIND, .count = 1 };
	struct store_more more = { .digests = (const uint8_t(*)[PROTO_DIGEST_SIZE])digest, .sizes = &size };
	struct store_reply reply;

	if (find_content(link, exchange, id, digest[0], is_there, error) != 0)
		return -1;
	if (!*is_there)
		return 0;
	snprintf(request.key, sizeof request.key, "%s", exchange->key->name);
	if (store_link_ask(link, &request, &more, &reply) != 0)
		return http_error_set(error, 503, AWAY);
	*is_there = size != STORE_NO_SIZE;
	return 0;
}

/* For the log, why the store is away. */
static void
fail_away(struct exchange *exchange, struct http_error *error, const struct store_link *link)
{
	exchange_note_failure(exchange, error, link->error);
	jobe_fail_with(exchange, error);
}

void
jobe_files_serve_head(struct worker *worker, struct exchange *exchange, const char *id)
{
	struct store_link link = { .fd = -1 };
	bool is_there = false, is_away;
	struct http_error error;

	is_away = worker->config->store_bytes > 0 && is_alphanumeric(id, "") &&
	    (store_link_connect(&link, worker->config) != 0 ? http_error_set(&error, 503, AWAY) :
	                                                      find_whole(&link, exchange, id, &is_there, &error)) != 0;
	if (is_away)
		fail_away(exchange, &error, &link);
	else
		reply_send(&exchange->reply, is_there ? 204 : 404, NULL, "", 0);
	store_link_close(&link);
}

/* ---- PUT --------------------------------------------------------------------------------------------------------- */

/* Whether PHP would decode a text as strict base64: spaces are skipped, padding may be missing. */
static bool
is_base64(const char *text, size_t size)
{
	size_t characters = 0, padding = 0;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r')
			continue;
		if (text[i] == '=') {
			padding++;
		} else {
			if (padding > 0 || (!isalnum((unsigned char)text[i]) && text[i] != '+' && text[i] != '/'))
				return false;
			characters++;
		}
	}
	return characters % 4 != 1 && (padding == 0 || (padding <= 2 && (characters + padding) % 4 == 0));
}

/* The bytes of a text in base64, in a sealed memfd. Returns it, or -1 without memory. */
static int
decode(struct json_object *content, size_t *size)
{
	size_t length = (size_t)json_object_get_string_len(content);
	char *strict = malloc(ADAPTER_CONTENT_SIZE(length)), *bytes = malloc(ADAPTER_CONTENT_SIZE(length));
	struct iovec iov = { .iov_base = bytes };
	int fd = -1;

	if (strict != NULL && bytes != NULL) {
		length = adapter_content_base64(json_object_get_string(content), length, strict);
		*size = iov.iov_len = length == 0 ? 0 : base64_decode(strict, length, bytes);
		if (iov.iov_len != (size_t)-1)
			fd = sealed_memfd_make("cellblock-file", SEALED_MEMFD_DATA, &iov, 1);
	}
	free(strict);
	free(bytes);
	return fd;
}

static const char *
name_of_fault(enum store_fault fault)
{
	switch (fault) {
	case STORE_TOO_LARGE:
		return "it is larger than this key may store";
	case STORE_KEY_FULL:
	case STORE_FULL:
		return "uploads in progress take all of the store";
	case STORE_NO_SPACE:
		return "the disk of this server is full";
	default:
		return "the store could not";
	}
}

/* Keep the content under the client's id. Returns 0, or -1 with `error` set. */
static int
keep(struct worker *worker, struct exchange *exchange, const char *id, struct json_object *content, struct store_link *link,
    struct http_error *error)
{
	struct store_request request = request_for(exchange, STORE_KEEP, id);
	struct store_more more = { .sent_fd = -1 };
	struct store_reply reply = { .fault = STORE_FAILED };
	size_t size = 0;

	more.sent_fd = decode(content, &size);
	if (more.sent_fd < 0)
		return http_error_set(error, 500, "put: failed to write file %.64s to cache: out of memory", id);
	request.size = size;
	request.count = 1; /* under this name */
	if (store_link_connect(link, worker->config) != 0 || store_link_ask(link, &request, &more, &reply) != 0)
		http_error_set(error, 503, AWAY);
	else if (reply.fault != STORE_OK)
		http_error_set(error, 500, "put: failed to write file %.64s to cache: %s", id,
		    name_of_fault((enum store_fault)reply.fault));
	close(more.sent_fd);
	return reply.fault == STORE_OK ? 0 : -1;
}

/* Returns 0, or -1 with `error` set. */
static int
put(struct worker *worker, struct exchange *exchange, const char *id, struct json_object *tree, struct store_link *link,
    struct http_error *error)
{
	struct json_object *content = adapter_member(tree, "file_contents");

	if (!json_object_is_type(content, json_type_string))
		return http_error_set(error, 400, "put: missing file_contents parameter");
	if (!is_base64(json_object_get_string(content), (size_t)json_object_get_string_len(content)))
		return http_error_set(error, 400, "put: contents of file %.64s are not valid base-64", id);
	if (worker->config->store_bytes == 0)
		return http_error_set(error, 500, "put: failed to write file %.64s to cache: this server keeps no files", id);
	return keep(worker, exchange, id, content, link, error);
}

void
jobe_files_serve_put(struct worker *worker, struct exchange *exchange, const char *id)
{
	struct store_link link = { .fd = -1 };
	struct http_error error;
	struct json_object *tree;
	size_t size;

	if (!is_alphanumeric(id, "")) {
		http_error_set(&error, 404, "Not Found");
		jobe_fail_with(exchange, &error);
		return;
	}
	tree = adapter_read(worker, exchange, &size, &error);
	/* One that is too large keeps its status. */
	if (tree == NULL && error.status == 400)
		http_error_set(&error, 400, "put: missing file_contents parameter");
	if (tree != NULL && put(worker, exchange, id, tree, &link, &error) == 0)
		reply_send(&exchange->reply, 204, NULL, "", 0);
	else if (tree != NULL && error.status == 503)
		fail_away(exchange, &error, &link);
	else
		jobe_fail_with(exchange, &error);
	json_object_put(tree);
	store_link_close(&link);
}
