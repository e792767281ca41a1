/* denied_text.h - denied system calls in words. */
#ifndef CELLBLOCK_DENIED_TEXT_H
#define CELLBLOCK_DENIED_TEXT_H

#include <stddef.h>

#include "proto.h"

#define DENIED_JSON_SIZE (DENIED_CALLS * 256 + 3)
#define DENIED_LINE_SIZE 512

/*
 * Write the list for a reply to a run that had `network`: [{"name", "count", "hint"}]. `text` has
 * room for DENIED_JSON_SIZE bytes. Returns its length.
 */
size_t denied_json(const struct denied_calls *denied, enum network network, char *text);

/*
 * Write the line for `error`: the denied calls and one hint, as the inside of a JSON string; empty
 * if no call was denied. `text` has room for DENIED_LINE_SIZE bytes.
 */
void denied_line(const struct denied_calls *denied, enum network network, char *text);

#endif
