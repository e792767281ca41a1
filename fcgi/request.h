/*
 * request.h - parses and checks the body of POST /v1/sandbox/run.
 *
 * It does no input or output and keeps no state: bytes in, a struct or an error out. So it can be
 * tested and fuzzed alone.
 */
#ifndef CELLBLOCK_REQUEST_H
#define CELLBLOCK_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collected.h"
#include "config.h"
#include "http_error.h"
#include "request_files.h"
#include "request_limits.h"
#include "text.h"

struct json_object;
struct request_tests;

/* NUL-terminated entries, one after the other, as in a job (job.h). */
struct block {
	char *bytes; /* NULL if there are none */
	size_t size;
	uint32_t count;
};

struct run_request {
	struct json_object *tree; /* owns the texts */
	size_t language;          /* an index into config->language */
	uint32_t warm;            /* the warm set that suits the program best */
	bool network;             /* the client asked for one, and one is configured */
	bool wants_network;       /* the client asked for one */
	bool key_lacks_network;   /* the key that it came with may not use one */
	bool loopback;            /* the client asked for a loopback, and nothing else */
	bool may_loopback;        /* the client may ask for one; auth.c sets it */
	uint32_t proxy;           /* index of the proxy of the client's key; auth.c sets it */
	struct run_limits limits;
	struct run_limits maximum;  /* of each limit, for this client */
	struct run_limits compiler; /* of the compiler: lower ones than configured. wall_ms is 0: as configured */
	struct text code, preload, input;
	struct block args, env;
	struct block needs; /* packages that must be installed: a name, and a version or "", by turns */
	struct request_files files;
	struct text main;     /* the path of the file to start, if it is one of these, and not the language's main file */
	struct block collect; /* patterns of the files to return */
	struct collect_form collect_form;
	int pack_fd;                 /* has its files of the store (job.h); belongs to request_store.c. 0: there are none */
	uint32_t compiler_options;   /* bit N: the Nth that the language's file allows */
	bool is_part;                /* its texts and blocks are another request's */
	struct request_files more;   /* files that the program has, and its compiler has not; another request's */
	struct request_tests *tests; /* NULL: none */
};

/*
 * Parse `size` bytes of JSON. Returns 0 and a request for request_free; or -1 with `error` set, and
 * nothing to free.
 */
int request_parse(const struct config *config, const char *body, size_t size, struct run_request *request,
    struct http_error *error);

/*
 * The same of an object of JSON that is parsed already, which is the request's from then on; if
 * this fails, it is freed.
 */
int request_take(const struct config *config, struct json_object *tree, struct run_request *request, struct http_error *error);

/*
 * Do without the network that the client may have asked for, because its key has none. Returns 0,
 * or -1 with `error` set if the configuration does not allow that.
 */
int request_leave_network(const struct config *config, struct run_request *request, struct http_error *error);

/*
 * For request_tests.c: take stdin, args, env, limits and files of an object, where it has them,
 * over those of `part`, which is a copy of a request. What is new in args.bytes, env.bytes and
 * files is the caller's to free, also after an error. Returns 0, or -1 with `error` set.
 */
int request_take_part(const struct config *config, struct json_object *object, struct run_request *part,
    struct http_error *error);

/* The same for all fields of a program of its own, with `part` zeroed, for request_free. */
int request_take_program(const struct config *config, struct json_object *object, struct run_request *part,
    struct http_error *error);

/* Set the code, which comes from a file in the store; it stays the request's. */
void request_set_code(const struct config *config, struct run_request *request, const struct text *code);

/* Free the texts of a request; its numbers stay. May be called again. */
void request_free(struct run_request *request);

#endif
