/* denied_text.h - denied system calls in words. */
#ifndef CELLBLOCK_DENIED_TEXT_H
#define CELLBLOCK_DENIED_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "proto.h"

#define DENIED_JSON_SIZE (DENIED_CALLS * 256 + 3)
#define DENIED_LINE_SIZE 512

/* The facts of a run for its hints, which must not advise anything that would not help. */
struct denied_context {
	enum network network;       /* that the run had */
	bool wants_network;         /* the client asked for one */
	bool has_network;           /* the server has one */
	bool key_has_network;       /* the key of the request may use it */
	bool has_loopback;          /* the client may ask for a loopback */
	bool by_signal;             /* it ended by a signal */
	uint64_t processes;         /* that the run might have */
	uint64_t maximum_processes; /* that the client may ask for */
};

/*
 * Write the list for a reply: [{"name", "count", "hint"}]. `text` has room for DENIED_JSON_SIZE
 * bytes. Returns its length.
 */
size_t denied_json(const struct denied_calls *denied, const struct denied_context *context, char *text);

/*
 * Write the line for `error` of a program that failed and wrote `err` to stderr: those denied calls
 * that its last words blame, and one hint, as the inside of a JSON string. Empty if they blame
 * none: most calls that are denied are attempts that a library does without. `text` has room for
 * DENIED_LINE_SIZE bytes.
 */
void denied_line(const struct denied_calls *denied, const struct denied_context *context, const char *err, size_t err_size,
    char *text);

#endif
