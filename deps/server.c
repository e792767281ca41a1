/*
 * server.c - see server.h.
 *
 * A few threads accept on one socket. A request that builds keeps its thread for as long as that
 * takes, so builds can have all threads but one.
 */
#define _GNU_SOURCE
#include "server.h"

#include <ctype.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "auth.h"
#include "build.h"
#include "clock.h"
#include "config_language.h"
#include "config_load.h"
#include "exchange.h"
#include "fcgi_end.h"
#include "fcgi_serve.h"
#include "json_text.h"
#include "listing.h"
#include "log.h"

#define LISTEN_FD 0
#define THREADS 8
#define TIMEOUT_S 10
#define BODY_MAX 4096
#define FAILED_STATUS 422 /* of a build that failed: the fault is in the requirements, most likely */
#define KEPT_US 10000000u /* a list of packages */
#define USE_MS 60000      /* how long an update waits until runs have the new set */
#define DEFAULT_LANGUAGE "python3"

static const char *config_path;
static int stop_fd = -1;                                    /* an eventfd: can be read when the process is to end */
static atomic_int busy;                                     /* threads that build */
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER; /* the configuration */

/* ---- one request ------------------------------------------------------------------------------------------------ */

/* The configuration and the keys, as they are on the disk now. */
struct view {
	struct config *config;
	struct key_list keys;
};

/* Returns 0, or -1 after the request was answered. */
static int
read_view(struct view *view, struct exchange *exchange)
{
	struct http_error error;
	char text[512];

	pthread_mutex_lock(&reading);
	view->config = config_load(config_path, text, sizeof text);
	if (view->config != NULL && config_keys_load(view->config, &view->keys, text, sizeof text) != 0) {
		config_free(view->config);
		view->config = NULL;
	}
	pthread_mutex_unlock(&reading);
	if (view->config != NULL)
		return 0;
	http_error_set(&error, 503, "the configuration cannot be read");
	exchange_fail(exchange, &error, text);
	return -1;
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));

	return at == NULL ? -1 : (int)(at - digits);
}

/* Decode a part of a query in place. A NUL would end it, so "%00" stays. */
static void
decode(char *text)
{
	char *to = text;

	for (const char *at = text; *at != '\0'; at++) {
		int high = *at == '%' ? hex_digit(at[1]) : -1, low = high < 0 ? -1 : hex_digit(at[2]);

		if (low >= 0 && high + low > 0) {
			*to++ = (char)(high << 4 | low);
			at += 2;
		} else {
			*to++ = *at == '+' ? ' ' : *at;
		}
	}
	*to = '\0';
}

/* The value of `name` in the query, for free(); or NULL. */
static char *
query_value(const struct exchange *exchange, const char *name)
{
	const char *at = exchange_parameter(exchange, "QUERY_STRING");
	size_t length = strlen(name);

	while (*at != '\0') {
		size_t part = strcspn(at, "&");

		if (part > length && strncmp(at, name, length) == 0 && at[length] == '=') {
			char *value = strndup(at + length + 1, part - length - 1);

			if (value != NULL)
				decode(value);
			return value;
		}
		at += part + (at[part] == '&');
	}
	return NULL;
}

/* The member "language" of the body, for free(); or NULL. *is_bad: the body is not JSON. */
static char *
body_value(struct exchange *exchange, bool *is_bad)
{
	char body[BODY_MAX + 1];
	int n = FCGX_GetStr(body, BODY_MAX, exchange->fcgi->in);
	size_t size = n > 0 ? (size_t)n : 0;
	struct json_object *root, *value;
	char *found = NULL;

	body[size] = '\0';
	*is_bad = false;
	if (strspn(body, " \t\r\n") == size)
		return NULL;
	/* For json-c a NUL would be the end of the text. */
	root = strlen(body) == size ? json_tokener_parse(body) : NULL;
	*is_bad = !json_object_is_type(root, json_type_object);
	if (!*is_bad && json_object_object_get_ex(root, "language", &value) && value != NULL) {
		*is_bad = !json_object_is_type(value, json_type_string) ||
		    strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value);
		found = *is_bad ? NULL : strdup(json_object_get_string(value));
	}
	json_object_put(root);
	return found;
}

/* Find the language of a request. Returns it, or NULL after the request was answered. */
static const struct language_config *
find_language(const struct config *config, struct exchange *exchange, bool has_body)
{
	struct http_error error;
	bool is_bad = false;
	char *name = query_value(exchange, "language"), *named = has_body ? body_value(exchange, &is_bad) : NULL;
	int found;

	/* That of the query comes first. The body has to be good in any case. */
	if (name == NULL)
		name = named;
	else
		free(named);
	found = is_bad ? -1 : config_language_find(config, name != NULL ? name : DEFAULT_LANGUAGE);
	if (found >= 0 && config->language[found]->packages != PACKAGES_NONE) {
		free(name);
		return config->language[found];
	}
	if (is_bad) {
		http_error_set(&error, 400, "body: must be a JSON object whose language is a string");
	} else {
		http_error_set(&error, 400, "language: %s has no packages that can be listed; those that have are:",
		    name != NULL ? name : DEFAULT_LANGUAGE);
		for (size_t i = 0; i < config->language_count; i++) {
			if (config->language[i]->packages != PACKAGES_NONE)
				http_error_append(&error, " %s", config->language[i]->name);
		}
	}
	free(name);
	exchange_fail(exchange, &error, NULL);
	return NULL;
}

/*
 * The list of a language's packages, for json_object_put; or NULL with one line in `error`. A list
 * is kept for a moment and one is made at a time, because each takes an interpreter, and every key
 * may ask. `is_new`: make it now.
 */
static struct json_object *
list_packages(const struct config *config, const struct language_config *language, bool is_new, char *error, size_t size)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct {
		char name[PROTO_NAME_SIZE];
		uint64_t made_us;
		char *text;
	} kept[CONFIG_MAX_LANGUAGES];
	struct json_object *list = NULL;
	size_t i = 0;

	pthread_mutex_lock(&lock);
	while (i < CONFIG_MAX_LANGUAGES - 1 && kept[i].text != NULL && strcmp(kept[i].name, language->name) != 0)
		i++;
	if (!is_new && kept[i].text != NULL && strcmp(kept[i].name, language->name) == 0 &&
	    clock_us() < kept[i].made_us + KEPT_US)
		list = json_tokener_parse(kept[i].text);
	if (list == NULL && (list = listing_make(config, language, error, size)) != NULL) {
		free(kept[i].text);
		kept[i].text = strdup(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN));
		kept[i].made_us = clock_us();
		snprintf(kept[i].name, sizeof kept[i].name, "%s", language->name);
	}
	pthread_mutex_unlock(&lock);
	return list;
}

/* Answer with the list, or the reason why there is none. */
static void
answer_list(struct exchange *exchange, const struct config *config, const struct language_config *language, bool is_new)
{
	struct http_error error;
	char text[512];
	struct json_object *data, *list = list_packages(config, language, is_new, text, sizeof text);

	if (list == NULL) {
		http_error_set(&error, 503, "the packages cannot be listed");
		exchange_fail(exchange, &error, text);
		return;
	}
	data = json_object_new_object();
	json_object_object_add(data, "dependencies", list);
	reply_data(&exchange->reply, data);
}

/* Answer with the last lines of the installer: only operators come here. */
static void
answer_failure(struct exchange *exchange, const char *reason)
{
	struct json_object *root = json_object_new_object();
	char text[SET_REASON_SIZE + 128];
	const char *json;

	snprintf(text, sizeof text, "the build failed, and the old set stays in use: %s", reason);
	json_object_object_add(root, "code", json_object_new_int(-FAILED_STATUS));
	json_object_object_add(root, "message", json_object_new_string_len(text, (int)json_text_well_formed(text, strlen(text))));
	json_object_object_add(root, "data", NULL);
	json = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
	reply_send(&exchange->reply, FAILED_STATUS, NULL, json, strlen(json));
	json_object_put(root);
}

/* Build, and answer with the list, or the reason of the failure. */
static void
answer_build(struct exchange *exchange, const struct config *config, const struct language_config *language, enum build_mode mode)
{
	struct http_error error;
	char reason[SET_REASON_SIZE];
	enum build_end end;

	if (atomic_fetch_add(&busy, 1) >= THREADS - 1) {
		atomic_fetch_sub(&busy, 1);
		http_error_set(&error, 503, "busy: too many builds are waited for");
		exchange_fail(exchange, &error, NULL);
		return;
	}
	end = build(config, language, mode, reason);
	if (end == BUILD_SWITCHED || end == BUILD_JOINED)
		build_wait_for_use(config, language, USE_MS);
	atomic_fetch_sub(&busy, 1);
	if (end != BUILD_FAILED) {
		log_info("%s: %s", language->name,
		    end == BUILD_NOTHING      ? "the set in use fits its requirements" :
		        end == BUILD_SWITCHED ? "new runs use a new set of packages" :
		                                "another request has built this set");
		answer_list(exchange, config, language, true);
		return;
	}
	log_warn("%s: the build failed, and the old set stays in use: %.*s", language->name, (int)strcspn(reason, "\n"), reason);
	answer_failure(exchange, reason);
}

static void
serve_list(struct exchange *exchange, const struct config *config)
{
	const struct language_config *language = find_language(config, exchange, false);

	if (language != NULL)
		answer_list(exchange, config, language, false);
}

static void
serve_refresh(struct exchange *exchange, const struct config *config)
{
	const struct language_config *language = find_language(config, exchange, false);

	if (language != NULL)
		answer_build(exchange, config, language, BUILD_IF_CHANGED);
}

static void
serve_update(struct exchange *exchange, const struct config *config)
{
	const struct language_config *language = find_language(config, exchange, true);

	if (language != NULL)
		answer_build(exchange, config, language, BUILD_ANYWAY);
}

static const struct route {
	const char *path;
	const char *method;
	const char *allow;
	bool is_for_operators;
	void (*serve)(struct exchange *exchange, const struct config *config);
} routes[] = {
	{ "/v1/sandbox/dependencies", "GET", "Allow: GET, HEAD\r\n", false, serve_list },
	{ "/v1/sandbox/dependencies/refresh", "GET", "Allow: GET, HEAD\r\n", true, serve_refresh },
	{ "/v1/sandbox/dependencies/update", "POST", "Allow: POST\r\n", true, serve_update },
};

static void
dispatch(struct exchange *exchange)
{
	const char *path = exchange_parameter(exchange, "DOCUMENT_URI");
	const char *method = exchange_parameter(exchange, "REQUEST_METHOD");
	const struct route *route = NULL;
	struct http_error error;
	struct view view;

	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		if (strcmp(routes[i].path, path) == 0)
			route = &routes[i];
	}
	if (read_view(&view, exchange) != 0)
		return;
	if (auth_check(&view.keys, exchange) == 0) {
		if (route == NULL) {
			http_error_set(&error, 404, "not found: there is no such route");
			exchange_fail(exchange, &error, NULL);
		} else if (strcmp(strcmp(method, "HEAD") == 0 ? "GET" : method, route->method) != 0) {
			http_error_set(&error, 405, "method not allowed");
			reply_error(&exchange->reply, &error, route->allow);
		} else if (route->is_for_operators && !auth_is_operator(exchange)) {
			http_error_set(&error, 403, "forbidden: only the key of an operator may do this");
			reply_error(&exchange->reply, &error, NULL);
		} else {
			route->serve(exchange, view.config);
		}
	}
	config_keys_free(&view.keys);
	config_free(view.config);
}

static void
serve(FCGX_Request *fcgi)
{
	struct exchange exchange = exchange_begin(fcgi);

	dispatch(&exchange);
	fcgi_end(fcgi);
}

/* ---- the process ------------------------------------------------------------------------------------------------ */

static void *
serve_requests(void *unused)
{
	(void)unused;
	fcgi_serve(LISTEN_FD, stop_fd, TIMEOUT_S, serve);
	return NULL;
}

/* Build for all languages. */
static void
build_all(const struct config *config, enum build_mode mode)
{
	char reason[SET_REASON_SIZE];

	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];

		if (language->packages == PACKAGES_NONE)
			continue;
		switch (build(config, language, mode, reason)) {
		case BUILD_SWITCHED:
			log_info("%s: new runs use a new set of packages", language->name);
			break;
		case BUILD_FAILED:
			log_warn("%s: the build failed, and the old set stays in use: %s", language->name, reason);
			break;
		case BUILD_NOTHING:
		case BUILD_JOINED:
			break;
		}
	}
}

/* Build at the start, and from time to time. */
static void *
keep_current(void *unused)
{
	enum build_mode mode = BUILD_IF_CHANGED;
	struct pollfd stop = { .fd = stop_fd, .events = POLLIN };
	uint64_t pause_s = 0;

	(void)unused;
	do {
		char error[512];
		struct config *config;

		pthread_mutex_lock(&reading);
		config = config_load(config_path, error, sizeof error);
		pthread_mutex_unlock(&reading);
		if (config == NULL) {
			log_warn("%s", error);
		} else {
			build_all(config, mode);
			pause_s = config->dependencies.update_s;
			config_free(config);
		}
		mode = BUILD_ANYWAY;
	} while (pause_s != 0 && poll(&stop, 1, pause_s < 2000000 ? (int)pause_s * 1000 : 2000000000) <= 0);
	return NULL;
}

void
server_run(const char *path)
{
	pthread_t thread[THREADS], builder;
	const uint64_t one = 1;
	sigset_t stop;
	int number, error = 0;

	config_path = path;
	stop_fd = eventfd(0, EFD_CLOEXEC);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	if (stop_fd < 0 || fcntl(LISTEN_FD, F_SETFL, O_NONBLOCK) != 0 || FCGX_Init() != 0 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGUSR1, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &stop, NULL) != 0)
		die("prepare the service of packages: %s", strerror(errno));
	for (size_t i = 0; i < THREADS && error == 0; i++)
		error = pthread_create(&thread[i], NULL, serve_requests, NULL);
	if (error == 0)
		error = pthread_create(&builder, NULL, keep_current, NULL);
	if (error != 0)
		die("start a thread: %s", strerror(error));
	if (sigwait(&stop, &number) != 0 || write(stop_fd, &one, sizeof one) < 0)
		die("wait for a signal: %s", strerror(errno));
	/* A build that is cut short leaves nothing in use, and its cell dies with this process. */
	log_info("stopped by signal %d", number);
	exit(0);
}
