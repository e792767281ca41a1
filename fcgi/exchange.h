/*
 * exchange.h - one HTTP request and its answer, and the state of a worker's thread between
 * requests.
 */
#ifndef CELLBLOCK_EXCHANGE_H
#define CELLBLOCK_EXCHANGE_H

#include <fcgiapp.h>

#include "access_log.h"
#include "config.h"
#include "config_key.h"
#include "http_error.h"
#include "reply.h"
#include "run.h"
#include "runner_link.h"

struct crew;

#define EXCHANGE_NAME_SIZE 80 /* of the name that nginx gives to a request, and of a key's */

#define EXCHANGE_LOST "lost" /* the outcome of a run that may have begun, and whose result is lost */

/*
 * The state of one thread of a worker, which serves one request at a time. It lasts from request to
 * request. The threads share nothing but what is constant.
 */
struct worker {
	const struct config *config;
	const struct key_list *keys;
	struct runner_link link;
	struct run run;
	int cut_fd;        /* can be read when the run in hand must be given up, because the process ends; -1: never */
	struct crew *crew; /* the threads of this process that help with tests */
};

struct exchange {
	FCGX_Request *fcgi;
	struct reply reply;
	char request_id[EXCHANGE_NAME_SIZE];
	char key_name[EXCHANGE_NAME_SIZE];
	struct access_log log;
	const struct key_config *key; /* the client's; NULL before auth_check */
	uint64_t waited_us;           /* how long the request has waited for this worker */
	uint64_t queue_ms;            /* how long it may wait in all */
	uint32_t retry_ms;            /* for Retry-After, if the answer has one; 0: unknown */
	const char *outcome;          /* for the log: one word for how a run ended or why there was none, or "-" */
};

/*
 * A request that libfcgi has accepted, with the id that nginx gives it. Its key is not known yet,
 * and its outcome is "-".
 */
struct exchange exchange_begin(FCGX_Request *fcgi);

/* A FastCGI parameter that nginx has set, or "". */
const char *exchange_parameter(const struct exchange *exchange, const char *name);

/* Tell the client how many requests its key has left, if their number is limited. */
void exchange_add_rate(struct exchange *exchange, const struct proto_account *account);

/*
 * Answer with `error`, and with Retry-After if its status is 429 or 503. An error of the service
 * (status 500 or 503) is logged beside the request's id: `cause` if there is one, else the error's
 * text. A client never sees the cause of a 500, only the id to look it up by, and whether the run
 * may have begun.
 */
void exchange_fail(struct exchange *exchange, struct http_error *error, const char *cause);

/*
 * The same without the answer, for a caller that gives it in another form: logs the error, sets its
 * text to what a client may see, and adds Retry-After.
 */
void exchange_note_failure(struct exchange *exchange, struct http_error *error, const char *cause);

#endif
