/* adapter.c - see adapter.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "adapters/adapter.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "config_load.h"
#include "json_tree.h"
#include "path_fault.h"
#include "request_limits.h"
#include "request_pack.h"
#include "request_store.h"
#include "route.h"

#define IS_LOCAL "1" /* nginx says so of a client on this host */
#define KEY_PATH "/.adapter_key"

static const struct adapter *const adapters[] = { &adapter_piston, &adapter_sandboxfusion, &adapter_jobe };

/* Whether `path` is that of the route. *name: the part that follows, or "". */
static bool
is_at(const struct adapter_route *route, const char *path, const char **name)
{
	size_t length = strlen(route->path);

	if (route->path[length - 1] != '/') {
		*name = "";
		return strcmp(route->path, path) == 0;
	}
	if (strncmp(route->path, path, length) != 0)
		return false;
	*name = path + length;
	return **name != '\0' && strchr(*name, '/') == NULL;
}

static bool
has_route(const struct adapter *adapter, const char *path)
{
	const char *name;

	for (size_t i = 0; i < adapter->route_count; i++) {
		if (is_at(&adapter->routes[i], path, &name))
			return true;
	}
	return false;
}

/* The adapter that is served at this path, and the rest of the path; or NULL. */
static const struct adapter *
find(const struct config *config, const char *path, const char **rest)
{
	for (size_t i = 0; i < sizeof adapters / sizeof adapters[0]; i++) {
		const struct adapter *adapter = adapters[i];

		if (!config_has_adapter(config, adapter->protocol))
			continue;
		for (size_t j = 0; adapter->prefixes[j] != NULL; j++) {
			size_t length = strlen(adapter->prefixes[j]);

			if (strncmp(path, adapter->prefixes[j], length) != 0)
				continue;
			*rest = path + length;
			if (!adapter->shares_prefixes || has_route(adapter, *rest))
				return adapter;
		}
	}
	return NULL;
}

static int
fail(struct exchange *exchange, const struct adapter *adapter, int status, const char *text, const char *header)
{
	struct http_error error;

	http_error_set(&error, status, "%s", text);
	adapter->fail(exchange, &error, header);
	return -1;
}

/*
 * Find the key of a request. One that presents none has that of adapters.local_key, if its client
 * is on this host. Returns 0, or -1 after the request was answered.
 */
static int
check_key(struct worker *worker, struct exchange *exchange, const struct adapter *adapter)
{
	bool is_local = strcmp(exchange_parameter(exchange, "CELLBLOCK_LOCAL"), IS_LOCAL) == 0;
	char header[128];

	switch (auth_find(worker->keys, exchange, is_local ? worker->config->adapter_local_key : NULL)) {
	case AUTH_GOOD:
		return 0;
	case AUTH_UNKNOWN:
		exchange->outcome = "unauthorized";
		snprintf(header, sizeof header, REPLY_REPLACED "%s\r\n", adapter->unauthorized);
		return fail(exchange, adapter, adapter->unknown_key_status, adapter->unknown_key, header);
	case AUTH_EXPIRED:
		exchange->outcome = "unauthorized";
		snprintf(header, sizeof header, REPLY_REPLACED "%s?expired\r\n", adapter->unauthorized);
		return fail(exchange, adapter, adapter->unknown_key_status, "this key has expired", header);
	}
	return -1;
}

/* nginx asks whether a key is right, before it takes a large body. No client can ask this. */
static void
serve_key(struct worker *worker, struct exchange *exchange)
{
	if (check_key(worker, exchange, &adapter_piston) == 0)
		reply_send(&exchange->reply, 200, NULL, "{}", 2);
}

const char *
adapter_serve(struct worker *worker, struct exchange *exchange, const char *path, const char *method)
{
	const struct adapter *adapter;
	const char *rest, *name;

	if (worker->config->adapters.count == 0)
		return NULL;
	if (strcmp(path, KEY_PATH) == 0) {
		serve_key(worker, exchange);
		return KEY_PATH;
	}
	adapter = find(worker->config, path, &rest);
	if (adapter == NULL)
		return NULL;
	/* Only who has a key learns which routes there are. */
	if (check_key(worker, exchange, adapter) != 0)
		return adapter->log_name;
	exchange->queue_ms = worker->config->queue_ms;
	method = strcmp(method, "HEAD") == 0 ? "GET" : method;
	for (size_t i = 0; i < adapter->route_count; i++) {
		const struct adapter_route *route = &adapter->routes[i];

		if (is_at(route, rest, &name) && strcmp(route->method, method) == 0) {
			route->serve(worker, exchange, name);
			return route->log_name;
		}
	}
	if (has_route(adapter, rest) && adapter->wrong_method_status == 405)
		fail(exchange, adapter, 405, "Method Not Allowed", NULL);
	else
		fail(exchange, adapter, 404, "Not Found", NULL);
	return adapter->log_name;
}

/* ---- for the adapters -------------------------------------------------------------------------------------------- */

struct json_object *
adapter_read(struct worker *worker, struct exchange *exchange, size_t *size, struct http_error *error)
{
	char *body = route_read_body(worker, exchange, size, error);
	struct json_object *tree;

	if (body == NULL)
		return NULL;
	tree = json_tree_parse(body, *size, JSON_TREE_VALUES, error);
	free(body);
	return tree;
}

/* Fetch the files of the store that the request names. Returns 0, or -1 with `error` set. */
static int
fetch(struct worker *worker, struct exchange *exchange, struct run_request *request, struct request_store *store,
    struct http_error *error)
{
	if (!request_pack_is_needed(request) ||
	    request_store_fetch(store, worker->config, exchange->key->name, request, error) == 0)
		return 0;
	if (store->missing != NULL)
		error->status = 404;
	else if (error->status != 400)
		exchange_note_failure(exchange, error, store->cause);
	return -1;
}

int
adapter_run(struct worker *worker, struct exchange *exchange, struct json_object *ours, const struct run_limits *compiler,
    size_t size, struct run_request *request, struct http_error *error)
{
	struct request_store store;
	const char *cause = NULL;
	int result;

	if (request_take(worker->config, ours, request, error) != 0)
		return -1;
	access_log_request(&exchange->log, worker->config->language[request->language]->name, request, size);
	request_store_init(&store);
	if (auth_check_request(worker->config, exchange->key, request, error) != 0 ||
	    fetch(worker, exchange, request, &store, error) != 0) {
		request_store_end(&store);
		request_free(request);
		return -1;
	}
	if (compiler != NULL)
		request->compiler = *compiler;
	result = route_run(worker, exchange, request, error, &cause);
	request_store_end(&store);
	if (result != 0)
		exchange_note_failure(exchange, error, cause);
	return result;
}

static const struct request_limit *
limit_named(const char *name)
{
	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		if (strcmp(request_limits[i].name, name) == 0)
			return &request_limits[i];
	}
	abort(); /* the adapters name limits by constants */
}

uint64_t
adapter_most(const struct worker *worker, const struct exchange *exchange, size_t language, const char *name)
{
	const struct request_limit *limit = limit_named(name);
	uint64_t configured = request_limit_of(limit, &worker->config->language[language]->limits.maximum);
	uint64_t of_key = request_limit_of(limit, &exchange->key->maximum);

	return configured < of_key ? configured : of_key;
}

void
adapter_limit(const struct worker *worker, const struct exchange *exchange, size_t language, struct json_object *ours,
    const char *name, uint64_t value)
{
	uint64_t most = adapter_most(worker, exchange, language, name), least = limit_named(name)->least;
	struct json_object *limits = adapter_member(ours, "limits");

	if (limits == NULL) {
		limits = json_object_new_object();
		json_object_object_add(ours, "limits", limits);
	}
	value = value < least ? least : value;
	json_object_object_add(limits, name, json_object_new_uint64(value < most ? value : most));
}

struct json_object *
adapter_member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, name, &value);
	return value;
}

/* Add a file without a content yet. Returns it; it stays the list's. */
static struct json_object *
add_file(struct json_object *ours, const char *path)
{
	struct json_object *files = adapter_member(ours, "files"), *file = json_object_new_object();

	if (files == NULL) {
		files = json_object_new_array();
		json_object_object_add(ours, "files", files);
	}
	json_object_object_add(file, "path", json_object_new_string(path));
	json_object_array_add(files, file);
	return file;
}

void
adapter_file(struct json_object *ours, const char *path, struct json_object *content, bool is_base64)
{
	struct json_object *file = add_file(ours, path);

	json_object_object_add(file, "content", content);
	if (is_base64)
		json_object_object_add(file, "encoding", json_object_new_string("base64"));
}

void
adapter_stored_file(struct json_object *ours, const char *path, const char *id)
{
	struct json_object *file = add_file(ours, path);

	json_object_object_add(file, "id", json_object_new_string(id));
}

/* Whether one of the files has this path. */
static bool
has_file(struct json_object *ours, const char *path)
{
	struct json_object *files = adapter_member(ours, "files");

	for (size_t i = 0; files != NULL && i < json_object_array_length(files); i++) {
		if (strcmp(json_object_get_string(adapter_member(json_object_array_get_idx(files, i), "path")), path) == 0)
			return true;
	}
	return false;
}

/* Whether two names end alike, from their last point on. */
static bool
have_one_extension(const char *a, const char *b)
{
	a = strrchr(a, '.');
	b = strrchr(b, '.');
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Whether a program runs as fast under a name of its own as under that of the main file. */
static bool
is_free(const struct language_config *language, const char *name)
{
	/* A compiler takes a name for the kind of the source. */
	if (config_is_compiled(language))
		return have_one_extension(name, language->main_file);
	/* An interpreter without a driver starts anew for another name (run.c). */
	return language->driver != NULL && language->run.count == 0;
}

void
adapter_program(const struct language_config *language, struct json_object *ours, const char *name, struct json_object *content)
{
	bool is_empty = json_object_get_string_len(content) == 0;
	struct text path = { name, name != NULL ? strlen(name) : 0 };
	bool has_name = path.size > 0 && strcmp(name, language->main_file) != 0 && path_fault(&path) == NULL &&
	    request_files_can_start(language);

	content = is_empty ? json_object_new_string("\n") : json_object_get(content);
	if (has_name && (is_free(language, name) || has_file(ours, language->main_file))) {
		adapter_file(ours, name, content, false);
		json_object_object_add(ours, "main", json_object_new_string(name));
	} else {
		json_object_object_add(ours, "code", content);
	}
}
