/* adapter_reply.c - see adapter_reply.h. Runs in the worker. */
#define _GNU_SOURCE
#include "adapters/adapter_reply.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "denied_text.h"
#include "json_text.h"

#define STEP 32          /* pieces for which there is room at first, and then more of */
#define BASE64_PART 3072 /* bytes; a multiple of 3 */

enum kind { KIND_JSON, KIND_INSIDE, KIND_BASE64 };

struct adapter_piece {
	enum kind kind;
	const char *bytes;
	size_t size;
	char *owned; /* the bytes, if they are the piece's own */
};

static struct adapter_piece *
add(struct adapter_reply *reply, enum kind kind, const char *bytes, size_t size)
{
	struct adapter_piece *piece;

	if (reply->failed)
		return NULL;
	if (reply->count % STEP == 0) {
		piece = realloc(reply->piece, (reply->count + STEP) * sizeof *piece);
		if (piece == NULL) {
			reply->failed = true;
			return NULL;
		}
		reply->piece = piece;
	}
	piece = &reply->piece[reply->count++];
	*piece = (struct adapter_piece){ kind, bytes, size, NULL };
	return piece;
}

void
adapter_reply_json(struct adapter_reply *reply, const char *format, ...)
{
	struct adapter_piece *piece;
	char *text;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		reply->failed = true;
		return;
	}
	piece = add(reply, KIND_JSON, text, (size_t)n);
	if (piece == NULL)
		free(text);
	else
		piece->owned = text;
}

void
adapter_reply_inside(struct adapter_reply *reply, const char *bytes, size_t size)
{
	add(reply, KIND_INSIDE, bytes, size);
}

void
adapter_reply_text(struct adapter_reply *reply, const char *bytes, size_t size)
{
	add(reply, KIND_JSON, "\"", 1);
	add(reply, KIND_INSIDE, bytes, size);
	add(reply, KIND_JSON, "\"", 1);
}

void
adapter_reply_string(struct adapter_reply *reply, const char *text)
{
	adapter_reply_text(reply, text, strlen(text));
}

void
adapter_reply_base64(struct adapter_reply *reply, const char *bytes, size_t size)
{
	add(reply, KIND_JSON, "\"", 1);
	add(reply, KIND_BASE64, bytes, size);
	add(reply, KIND_JSON, "\"", 1);
}

void
adapter_reply_facts(struct adapter_reply *reply, const struct run *run, const struct config *config,
    const struct run_request *request)
{
	const struct denied_context context = reply_denied_context(run, config, request);
	const struct run_result *r = &run->result;
	char denied[DENIED_JSON_SIZE], stall[REPLY_STALL_SIZE];

	denied_json(&r->denied, &context, denied);
	reply_stall(r, stall);
	adapter_reply_json(reply,
	    "\"cellblock\":{\"status\":\"%s\",\"denied\":%s,\"truncated\":%s,\"usage\":{\"wall_ms\":%" PRIu64
	    ".%03u,\"cpu_ms\":%" PRIu64 ".%03u,\"memory_peak_bytes\":%" PRIu64 ",\"queue_ms\":%" PRIu64 ".%03u%s}}",
	    proto_verdict_name(r->verdict), denied, run->out.truncated || run->err.truncated ? "true" : "false",
	    r->wall_us / 1000, (unsigned)(r->wall_us % 1000), r->cpu_us / 1000, (unsigned)(r->cpu_us % 1000),
	    r->memory_peak_bytes, r->queue_us / 1000, (unsigned)(r->queue_us % 1000), stall);
}

static size_t
length_of(const struct adapter_piece *piece)
{
	switch (piece->kind) {
	case KIND_INSIDE:
		return json_text_length(piece->bytes, piece->size);
	case KIND_BASE64:
		return BASE64_LENGTH(piece->size);
	case KIND_JSON:
		break;
	}
	return piece->size;
}

static void
put_base64(struct reply *to, const char *bytes, size_t size)
{
	char text[BASE64_LENGTH(BASE64_PART)];

	for (size_t at = 0, part; at < size; at += part) {
		part = size - at < BASE64_PART ? size - at : BASE64_PART;
		base64_encode(bytes + at, part, text);
		reply_put(to, text, BASE64_LENGTH(part));
	}
}

static void
put(struct reply *to, const struct adapter_piece *piece)
{
	switch (piece->kind) {
	case KIND_INSIDE:
		reply_put_escaped(to, piece->bytes, piece->size);
		break;
	case KIND_BASE64:
		put_base64(to, piece->bytes, piece->size);
		break;
	case KIND_JSON:
		reply_put(to, piece->bytes, piece->size);
		break;
	}
}

void
adapter_reply_send(struct adapter_reply *reply, struct reply *to, int status)
{
	static const char no_memory[] = "{\"message\":\"no memory for the reply\"}";
	size_t length = 0;

	for (size_t i = 0; i < reply->count; i++)
		length += length_of(&reply->piece[i]);
	if (reply->failed)
		reply_send(to, 500, NULL, no_memory, strlen(no_memory));
	else
		reply_begin(to, status, length);
	for (size_t i = 0; i < reply->count; i++) {
		if (!reply->failed)
			put(to, &reply->piece[i]);
		free(reply->piece[i].owned);
	}
	free(reply->piece);
	*reply = (struct adapter_reply){ NULL, 0, false };
}

struct json_object *
adapter_reply_clean(const char *text)
{
	char repaired[3 * HTTP_ERROR_TEXT_SIZE];
	size_t size = json_text_repair(text, strnlen(text, HTTP_ERROR_TEXT_SIZE), repaired);

	return json_object_new_string_len(repaired, (int)size);
}

void
adapter_reply_value(struct reply *to, int status, const char *header, struct json_object *value)
{
	size_t size;
	const char *json = json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
	    &size);

	reply_send(to, status, header, json, size);
	json_object_put(value);
}
