/* log_limit.c - see log_limit.h. */
#include "log_limit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"

#define PERIOD_US 1000000u

bool
log_limit_allows(struct log_limit *limit, uint64_t now_us, uint64_t *suppressed)
{
	uint64_t written_us = limit->written_us;

	/* Of the threads that find the second over, one writes. */
	if ((written_us != 0 && now_us < written_us + PERIOD_US) ||
	    !atomic_compare_exchange_strong(&limit->written_us, &written_us, now_us)) {
		limit->suppressed++;
		return false;
	}
	*suppressed = atomic_exchange(&limit->suppressed, 0);
	return true;
}

void
log_limit_warn(struct log_limit *limit, const char *format, ...)
{
	int error = errno;
	uint64_t suppressed;
	char text[768];
	va_list args;

	if (!log_limit_allows(limit, clock_us(), &suppressed))
		return;
	va_start(args, format);
	errno = error;
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (suppressed > 0)
		log_warn("%s (%" PRIu64 " more like this were not logged)", text, suppressed);
	else
		log_warn("%s", text);
	errno = error;
}
