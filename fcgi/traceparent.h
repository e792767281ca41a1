/*
 * traceparent.h - the header of W3C Trace Context, by which a client's tracer finds its requests.
 */
#ifndef CELLBLOCK_TRACEPARENT_H
#define CELLBLOCK_TRACEPARENT_H

#include <stdbool.h>

#define TRACEPARENT_SIZE 56 /* with its NUL */

/*
 * Whether a text is a traceparent of version 00: it has 55 characters, none of them harmful in a
 * header or a log, and neither of its ids is zero.
 */
bool traceparent_is_good(const char *text);

#endif
