/* exchange.c - see exchange.h. Runs in the worker. */
#include "exchange.h"

#include <string.h>

#include "log_limit.h"

#define KINDS_MAX 16

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
	static struct {
		int status;
		const char *outcome;
		struct log_limit limit;
	} kinds[KINDS_MAX];
	size_t i;

	for (i = 0; i < KINDS_MAX - 1 && kinds[i].outcome != NULL; i++) {
		if (kinds[i].status == status && strcmp(kinds[i].outcome, outcome) == 0)
			return &kinds[i].limit;
	}
	kinds[i].status = status;
	kinds[i].outcome = outcome;
	return &kinds[i].limit;
}

void
exchange_fail(struct exchange *exchange, struct http_error *error, const char *cause)
{
	if (error->status == 500 || error->status == 503)
		log_limit_warn(limit_of(error->status, exchange->outcome), "request=%s: %s%s%s", exchange->request_id,
		    error->text, cause != NULL ? ": " : "", cause != NULL ? cause : "");
	if (error->status == 500)
		http_error_set(error, 500, "internal error; the log says more about request %s", exchange->request_id);
	reply_error(&exchange->reply, error, NULL);
}
