/* exchange.c - see exchange.h. Runs in the worker. */
#include "exchange.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "log_limit.h"

#define KINDS_MAX 24

struct exchange
exchange_begin(FCGX_Request *fcgi)
{
	struct exchange exchange = { .fcgi = fcgi,
		.reply = { .out = fcgi->out, .fd = fcgi->ipcFd },
		.key_name = "-",
		.outcome = "-" };
	const char *id = exchange_parameter(&exchange, "CELLBLOCK_REQUEST_ID");

	snprintf(exchange.request_id, sizeof exchange.request_id, "%s", *id != '\0' ? id : "-");
	return exchange;
}

const char *
exchange_parameter(const struct exchange *exchange, const char *name)
{
	const char *value = FCGX_GetParam(name, exchange->fcgi->envp);

	return value != NULL ? value : "";
}

/*
 * The log limit for errors of one kind, which have the same status and outcome. One line a second
 * each is enough, because the line of every request has both. All kinds that find no room share the
 * last entry; there are fewer kinds.
 */
static struct log_limit *
limit_of(int status, const char *outcome)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct {
		int status;
		const char *outcome;
		struct log_limit limit;
	} kinds[KINDS_MAX];
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < KINDS_MAX - 1 && kinds[i].outcome != NULL; i++) {
		if (kinds[i].status == status && strcmp(kinds[i].outcome, outcome) == 0)
			break;
	}
	kinds[i].status = status;
	kinds[i].outcome = outcome;
	pthread_mutex_unlock(&lock);
	return &kinds[i].limit;
}

void
exchange_add_rate(struct exchange *exchange, const struct proto_account *account)
{
	const struct key_limits *share = &exchange->key->share;

	if (share->rate == 0)
		return;
	/* The runner counts the burst, and the one request that the rate gives. */
	reply_add_header(&exchange->reply, "X-RateLimit-Limit: %" PRIu64, (uint64_t)share->burst + 1);
	reply_add_header(&exchange->reply, "X-RateLimit-Remaining: %u", account->rate_left);
	reply_add_header(&exchange->reply, "X-RateLimit-Reset: %" PRIu64, ((uint64_t)account->rate_reset_ms + 999) / 1000);
}

void
exchange_note_failure(struct exchange *exchange, struct http_error *error, const char *cause)
{
	if (error->status == 500 || error->status == 503)
		log_limit_warn(limit_of(error->status, exchange->outcome), "request=%s: %s%s%s", exchange->request_id,
		    error->text, cause != NULL ? ": " : "", cause != NULL ? cause : "");
	if (error->status == 500 && strcmp(exchange->outcome, EXCHANGE_LOST) == 0)
		http_error_set(error, 500, "lost: the run may have begun, and its result is lost; see the log for request %s",
		    exchange->request_id);
	else if (error->status == 500)
		http_error_set(error, 500, "internal error; see the log for request %s", exchange->request_id);
	if (error->status == 429 || error->status == 503) {
		exchange->reply.retry_s = exchange->retry_ms <= 1000 ? 1 : (exchange->retry_ms - 1) / 1000 + 1;
		reply_add_header(&exchange->reply, "Retry-After: %u", exchange->reply.retry_s);
	}
}

void
exchange_fail(struct exchange *exchange, struct http_error *error, const char *cause)
{
	exchange_note_failure(exchange, error, cause);
	reply_error(&exchange->reply, error, NULL);
}
