/* exchange_log.c - see exchange_log.h. */
#define _GNU_SOURCE
#include "exchange_log.h"

#include <string.h>

#include "access_log.h"

void
exchange_log_traceparent(struct exchange *exchange, char traceparent[TRACEPARENT_SIZE])
{
	const char *given = exchange_parameter(exchange, "CELLBLOCK_TRACEPARENT");

	if (traceparent_is_good(given)) {
		memcpy(traceparent, given, TRACEPARENT_SIZE);
		reply_add_header(&exchange->reply, "traceparent: %s", traceparent);
	}
	exchange->log.traceparent = traceparent;
}

void
exchange_log_write(struct exchange *exchange, const char *route, uint64_t spent_us)
{
	struct access_log *log = &exchange->log;

	log->request_id = exchange->request_id;
	log->key_name = exchange->key_name;
	log->route = route;
	log->outcome = exchange->outcome;
	log->status = exchange->reply.status;
	log->bytes_out = exchange->reply.bytes;
	log->spent_us = spent_us;
	access_log_write(log);
}
