/*
 * adapter.h - the protocols of other services, which their clients speak. docs/adapters.md.
 *
 * An adapter is a front end: it reads a request of its protocol, makes of it a request of our own
 * (request.h), and answers with the outcome in its protocol's words. So a run by an adapter has the
 * same checks, limits, queue and cell as any other.
 */
#ifndef CELLBLOCK_ADAPTER_H
#define CELLBLOCK_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"
#include "http_error.h"
#include "request.h"

struct json_object;

/* A route below the prefixes of its protocol. */
struct adapter_route {
	const char *path; /* if it ends in a slash, a name of one part follows */
	const char *method;
	const char *log_name; /* for the line in the log: never a client's text */
	void (*serve)(struct worker *worker, struct exchange *exchange, const char *rest); /* `rest`: that name, or "" */
};

struct adapter {
	enum adapter_protocol protocol;
	const char *log_name;        /* the same of a request that has no route */
	const char *const *prefixes; /* each ends in a slash; the longest first, NULL at the end */
	bool shares_prefixes;        /* other paths begin alike: those that are no route are not its own */
	const struct adapter_route *routes;
	size_t route_count;
	const char *unauthorized; /* a path of nginx that answers in the place of the worker (auth.c) */
	const char *unknown_key;  /* the text for a key that is missing or wrong, ... */
	int unknown_key_status;   /* ... and its status: 401 or 403 */
	int wrong_method_status;  /* for a route with another method: 404 or 405 */

	/* Answer with an error in the protocol's form. */
	void (*fail)(struct exchange *exchange, const struct http_error *error, const char *header);
};

/* The table of an adapter, and its length. */
#define ADAPTER_ROUTES(table) .routes = (table), .route_count = sizeof(table) / sizeof((table)[0])

extern const struct adapter adapter_piston, adapter_sandboxfusion, adapter_jobe;

/*
 * Answer a request whose path is that of a protocol that is served. Returns the name of the route
 * for the log; NULL: there is no such protocol, and nothing was done.
 */
const char *adapter_serve(struct worker *worker, struct exchange *exchange, const char *path, const char *method);

/* ---- for the adapters ---- */

/*
 * Read the body, which must be an object of JSON. Returns it, for json_object_put, and its length
 * in *size; or NULL with `error` set.
 */
struct json_object *adapter_read(struct worker *worker, struct exchange *exchange, size_t *size, struct http_error *error);

/*
 * Carry out `ours`, an object with the fields of API.md, which is used up. `compiler`: limits for
 * its compiler, or NULL; `size`: of the client's body, for the log. Returns 0 with the outcome in
 * worker->run; or -1 with `error` set: to 400 for a fault of the request, to 404 if the key has not
 * stored a file that it names, and else to what API.md has for it. exchange->outcome says why there
 * was no run. The caller then calls run_release, and may use the numbers of `request`.
 */
int adapter_run(struct worker *worker, struct exchange *exchange, struct json_object *ours, const struct run_limits *compiler,
    size_t size, struct run_request *request, struct http_error *error);

/* The most that the client may ask of a limit, by its name in API.md. */
uint64_t adapter_most(const struct worker *worker, const struct exchange *exchange, size_t language, const char *limit);

/*
 * Set a limit of `ours`: to `value`, but to no more than the client may ask for, and no less than
 * the least that there is.
 */
void adapter_limit(const struct worker *worker, const struct exchange *exchange, size_t language, struct json_object *ours,
    const char *limit, uint64_t value);

/*
 * Put the program into `ours`: as the file `name`, if a program of this language can begin with it
 * at no cost, or if one of the other files has the name of the main file; else as the main file.
 * `name` may be NULL. `content`, which stays the caller's, is a string. An empty program becomes a
 * line feed, since ours must not be empty.
 */
void adapter_program(const struct language_config *language, struct json_object *ours, const char *name,
    struct json_object *content);

/*
 * Add a file to `ours`. `content` is a string, and used up: text, or base64 as adapter_base64 makes
 * it.
 */
void adapter_file(struct json_object *ours, const char *path, struct json_object *content, bool is_base64);

/* Add a file of the store to `ours`, by its id. */
void adapter_stored_file(struct json_object *ours, const char *path, const char *id);

/* A member of an object; NULL if it is missing or null. */
struct json_object *adapter_member(struct json_object *object, const char *name);

#endif
