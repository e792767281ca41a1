/* log_limit.c - see log_limit.h. */
#include "log_limit.h"

#define LIMIT_US 1000000u

bool
log_limit_allows(struct log_limit *limit, uint64_t now_us, uint64_t *suppressed)
{
	if (limit->logged_us != 0 && now_us < limit->logged_us + LIMIT_US) {
		limit->suppressed++;
		return false;
	}
	*suppressed = limit->suppressed;
	*limit = (struct log_limit){ .logged_us = now_us };
	return true;
}
