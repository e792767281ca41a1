/* denied_text.h - refused system calls in words. */
#ifndef CELLBLOCK_DENIED_TEXT_H
#define CELLBLOCK_DENIED_TEXT_H

#include <stddef.h>

#include "proto.h"

#define DENIED_JSON_SIZE (DENIED_CALLS * 256 + 3)
#define DENIED_LINE_SIZE 512

/* The list for a reply: [{"name", "count", "hint"}], of a run that had `network`. `text` has room for DENIED_JSON_SIZE. Returns its length. */
size_t denied_json(const struct denied_calls *denied, enum network network, char *text);

/*
 * The line for `error`: which calls, and what would have helped, as the inside of a JSON string. Empty if there were none.
 * `text` has room for DENIED_LINE_SIZE.
 */
void denied_line(const struct denied_calls *denied, enum network network, char *text);

#endif
