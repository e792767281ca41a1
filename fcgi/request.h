/*
 * request.h - the body of POST /v1/sandbox/run, checked.
 *
 * No input or output and no state: bytes in, a struct or an error out, so that it can be tested and
 * fuzzed alone.
 */
#ifndef CELLBLOCK_REQUEST_H
#define CELLBLOCK_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "http_error.h"

struct json_object;

/* Bytes that may hold NUL. They belong to somebody else. */
struct text {
	const char *bytes;
	size_t size;
};

/* Entries that are each ended by a NUL, one after the other, as the job has them (job.h). */
struct block {
	char *bytes; /* NULL when there are none */
	size_t size;
	uint32_t count;
};

struct run_request {
	struct json_object *tree; /* owns the texts */
	size_t language;          /* an index into config->language */
	uint32_t warm;            /* the warm set that suits the program best */
	bool network;             /* the client asked for one and there is one to be had */
	uint32_t proxy;           /* the one that its key is given; see request_use_proxy */
	struct run_limits limits;
	struct text code, preload, input;
	struct block args, env;
};

/* A limit that a request may name, and where it is in struct run_limits. */
struct request_limit {
	const char *name;
	size_t offset;
};

#define REQUEST_LIMITS 6
extern const struct request_limit request_limits[REQUEST_LIMITS];

uint64_t request_limit_of(const struct request_limit *limit, const struct run_limits *limits);

/*
 * Understand `size` bytes of JSON. Returns 0 and a request for request_free; or -1 and what to
 * answer, and then there is nothing to free.
 */
int request_parse(const struct config *config, const char *body, size_t size, struct run_request *request,
    struct http_error *error);

/*
 * Whoever knows the client says which of the configured proxies its network is to be ("": the
 * first; PROXY_NONE: it has no network). Returns 0, or -1 and what to answer.
 */
int request_use_proxy(const struct config *config, struct run_request *request, const char *name, struct http_error *error);

/*
 * Give back what a request holds. The texts are gone then; the numbers stay. Does no harm the
 * second time.
 */
void request_free(struct run_request *request);

#endif
