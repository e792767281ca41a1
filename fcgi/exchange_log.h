/* exchange_log.h - the line of a request in the access log. */
#ifndef CELLBLOCK_EXCHANGE_LOG_H
#define CELLBLOCK_EXCHANGE_LOG_H

#include <stdint.h>

#include "exchange.h"
#include "traceparent.h"

/*
 * Keep the client's traceparent for the log, and give it back to the client. It is copied to
 * `traceparent`, which is empty and lasts as long as the exchange.
 */
void exchange_log_traceparent(struct exchange *exchange, char traceparent[TRACEPARENT_SIZE]);

/*
 * Write the line. Call this after the request was finished, when the client has its answer: nothing
 * of libfcgi is used.
 */
void exchange_log_write(struct exchange *exchange, const char *route, uint64_t spent_us);

#endif
