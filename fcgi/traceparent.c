/* traceparent.c - see traceparent.h. Runs in the worker. */
#include "traceparent.h"

#include <stddef.h>
#include <string.h>

/* The fields of "00-TRACE-PARENT-FLAGS": where each begins, and its length in digits. */
enum { TRACE_AT = 3, TRACE_DIGITS = 32, PARENT_AT = 36, PARENT_DIGITS = 16, FLAGS_AT = 53, FLAGS_DIGITS = 2 };

/* Whether there are so many digits, and, if need be, another one than 0. */
static bool
is_id(const char *text, size_t digits, bool may_be_zero)
{
	return strspn(text, "0123456789abcdef") >= digits && (may_be_zero || strspn(text, "0") < digits);
}

bool
traceparent_is_good(const char *text)
{
	return strlen(text) == TRACEPARENT_SIZE - 1 && memcmp(text, "00-", 3) == 0 && text[PARENT_AT - 1] == '-' &&
	    text[FLAGS_AT - 1] == '-' && is_id(text + TRACE_AT, TRACE_DIGITS, false) &&
	    is_id(text + PARENT_AT, PARENT_DIGITS, false) && is_id(text + FLAGS_AT, FLAGS_DIGITS, true);
}
