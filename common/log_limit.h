/* log_limit.h - at most one log line a second of a kind. */
#ifndef CELLBLOCK_LOG_LIMIT_H
#define CELLBLOCK_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct log_limit {
	uint64_t logged_us;  /* 0: never */
	uint64_t suppressed; /* lines since then */
};

/* Whether a line may be logged at `now_us`. If so, *suppressed says how many were not since the last one. */
bool log_limit_allows(struct log_limit *limit, uint64_t now_us, uint64_t *suppressed);

#endif
