/*
 * jobe.h - the parts of Jobe's protocol: a request (jobe_request.c), its files (jobe_files.c), and
 * its reply (jobe_reply.c), for the routes (jobe.c). docs/adapters.md has the table of fields.
 */
#ifndef CELLBLOCK_JOBE_H
#define CELLBLOCK_JOBE_H

#include <stdbool.h>
#include <stddef.h>

#include "adapters/adapter.h"

#define JOBE_MISSING "One or more of the specified files is missing/unavailable"

enum jobe_outcome {
	OUTCOME_COMPILE_ERROR = 11,
	OUTCOME_RUNTIME_ERROR = 12,
	OUTCOME_TIME_LIMIT = 13,
	OUTCOME_SUCCESS = 15,
	OUTCOME_MEMORY_LIMIT = 17,
	OUTCOME_ILLEGAL_SYSCALL = 19,
	OUTCOME_INTERNAL_ERROR = 20,
	OUTCOME_OVERLOAD = 21,
};

/* A run on its way to ours. */
struct jobe_submission {
	struct worker *worker;
	struct exchange *exchange;
	const struct language_config *language;
	const char *name; /* of the language, in Jobe */
	size_t index;     /* of the language */
	struct json_object *ours;
	struct json_object *ignored; /* the names of what was given and has no effect */
};

/* ---- jobe_request.c ---- */

/*
 * Make ours of a request, in the order of the original's checks. Returns 0, or -1 with `error` set.
 * *is_compile_error: it is what a compiler would say.
 */
int jobe_translate(struct jobe_submission *submission, struct json_object *spec, bool *is_compile_error,
    struct http_error *error);

/* The text at a place of a list; "" if there is none, or it has a NUL. */
const char *jobe_string_at(struct json_object *list, size_t at);

/* ---- jobe_files.c ---- */

/* Add the files that `file_list` names to ours. Returns 0, or -1 with `error` set. */
int jobe_files_take(struct jobe_submission *submission, struct json_object *spec, struct http_error *error);

/* HEAD and PUT of files/ID. */
void jobe_files_serve_head(struct worker *worker, struct exchange *exchange, const char *id);
void jobe_files_serve_put(struct worker *worker, struct exchange *exchange, const char *id);

/* ---- jobe_reply.c ---- */

/* The body of an error is a text. `header`: as that of reply_send. */
void jobe_fail(struct exchange *exchange, const struct http_error *error, const char *header);
void jobe_fail_with(struct exchange *exchange, const struct http_error *error);

/* Answer with a result without a run. */
void jobe_answer_outcome(struct exchange *exchange, enum jobe_outcome outcome, const char *cmpinfo, const char *err);

/* Answer with the outcome in worker->run. */
void jobe_answer(const struct jobe_submission *submission, const struct run_request *request);

/* Answer a request that was not carried out. */
void jobe_answer_refusal(struct exchange *exchange, struct http_error *error);

#endif
