/*
 * log_limit.h - at most one warning of a kind in a second, for causes that a peer can repeat at
 * will.
 */
#ifndef CELLBLOCK_LOG_LIMIT_H
#define CELLBLOCK_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* The state of one kind of line. Zeroed: no line was written yet. Threads may share it. */
struct log_limit {
	_Atomic uint64_t written_us; /* when the last line was written; 0: never */
	_Atomic uint64_t suppressed; /* lines withheld since then */
};

/*
 * Whether a line may be written at `now_us` (clock_us()). If so, *suppressed is the number of lines
 * that were withheld since the last one, and the second begins anew. If not, this line is counted
 * as withheld; *suppressed is not set.
 */
bool log_limit_allows(struct log_limit *limit, uint64_t now_us, uint64_t *suppressed);

/*
 * log_warn if the limit allows it. Appends how many lines of this kind were withheld, if any.
 * Preserves errno.
 */
void log_limit_warn(struct log_limit *limit, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
