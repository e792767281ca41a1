/*
 * adapter_reply.h - the reply of an adapter: pieces of JSON, and texts that become strings of it.
 *
 * The reply to a run may have tens of megabytes, and is never assembled: a text stays where it is,
 * and is escaped when it is sent.
 */
#ifndef CELLBLOCK_ADAPTER_REPLY_H
#define CELLBLOCK_ADAPTER_REPLY_H

#include <stddef.h>

#include "config.h"
#include "reply.h"
#include "request.h"
#include "run.h"

struct json_object;

struct adapter_piece;

struct adapter_reply {
	struct adapter_piece *piece;
	size_t count;
	bool failed; /* for want of memory */
};

/* Add JSON, printf-style. */
void adapter_reply_json(struct adapter_reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Add a string of JSON with its quotes. The bytes stay the caller's, until the reply is sent. */
void adapter_reply_text(struct adapter_reply *reply, const char *bytes, size_t size);

/* The same of a text that ends with NUL. */
void adapter_reply_string(struct adapter_reply *reply, const char *text);

/* The same, as base64. */
void adapter_reply_base64(struct adapter_reply *reply, const char *bytes, size_t size);

/* The inside of a string only, without its quotes. */
void adapter_reply_inside(struct adapter_reply *reply, const char *bytes, size_t size);

/*
 * Add the member "cellblock", with the facts for which a protocol has no words: how the program
 * ended, its denied calls, and what it used.
 */
void adapter_reply_facts(struct adapter_reply *reply, const struct run *run, const struct config *config,
    const struct run_request *request);

/* Send the pieces, and free them. */
void adapter_reply_send(struct adapter_reply *reply, struct reply *to, int status);

/*
 * A string of json-c, for a text that may be cut within a character: what is not UTF-8 becomes
 * U+FFFD. It has at most HTTP_ERROR_TEXT_SIZE bytes of the text.
 */
struct json_object *adapter_reply_clean(const char *text);

/* Send a value of json-c, and free it. `header`: as that of reply_send. */
void adapter_reply_value(struct reply *to, int status, const char *header, struct json_object *value);

#endif
