/*
 * status.c - see status.h. Runs in the status process. The answers come from the runner, through
 * runner_view.c, and from the configuration.
 */
#define _GNU_SOURCE
#include "status.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoconfig.h"
#include "json_text.h"
#include "metrics_text.h"
#include "store_metrics.h"

#define OK_BODY "\"ok\""

/* ---- what goes wrong --------------------------------------------------------------------------------------------- */

static void
unavailable(struct exchange *exchange, const char *why, const char *cause)
{
	struct http_error error;

	http_error_set(&error, 503, "%s", why);
	exchange_fail(exchange, &error, cause);
}

static void
unreachable(struct exchange *exchange, const char *cause)
{
	unavailable(exchange, "the runner cannot be reached", cause);
}

static void
no_memory(struct exchange *exchange)
{
	struct http_error error;

	http_error_set(&error, 500, "no memory for the reply");
	exchange_fail(exchange, &error, NULL);
}

/*
 * The list of languages and the limits come from the configuration, so they are right only if the
 * runner has the same. If not, this process is about to end, and its successor reads it.
 */
static bool
is_outdated(struct status *status, struct exchange *exchange)
{
	if (!runner_view_is_outdated(&status->view))
		return false;
	unavailable(exchange, "the configuration is being read anew; try again", NULL);
	return true;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

#define CLEAN_SIZE (3 * PROTO_TEXT_SIZE + 1) /* U+FFFD has three bytes */

/*
 * A text from a message, which may fill its field to the last byte, as UTF-8. The version that an
 * interpreter prints need not be UTF-8, nor a text that was cut, and json-c would pass either on
 * unchanged.
 */
static const char *
clean(const char *field, size_t size, char *text)
{
	size_t left = strnlen(field, size), at = 0;

	while (left > 0) {
		size_t good = json_text_well_formed(field, left);

		memcpy(text + at, field, good);
		at += good;
		if (good < left) {
			memcpy(text + at, "\xef\xbf\xbd", 3);
			at += 3;
			good++;
		}
		field += good;
		left -= good;
	}
	text[at] = '\0';
	return text;
}

static struct json_object *
text(const char *field, size_t size)
{
	char cleaned[CLEAN_SIZE];

	return json_object_new_string(clean(field, size, cleaned));
}

/* ---- health ------------------------------------------------------------------------------------------------------ */

/* Answer "ok", or 503 with the runner's reason, or `otherwise` if it gives none. */
static void
answer_state(struct exchange *exchange, bool is_good, struct proto_state *state, const char *otherwise)
{
	if (is_good) {
		reply_send(&exchange->reply, 200, NULL, OK_BODY, strlen(OK_BODY));
		return;
	}
	state->reason[sizeof state->reason - 1] = '\0';
	unavailable(exchange, state->reason[0] != '\0' ? state->reason : otherwise, NULL);
}

void
status_health(struct status *status, struct exchange *exchange)
{
	char error[RUNNER_LINK_ERROR_SIZE];
	struct proto_state state;

	if (runner_view_state(&status->view, &state, error) != 0)
		unreachable(exchange, error);
	else
		answer_state(exchange, state.healthy != 0, &state, "the runner is not ready to serve");
}

/* That this process answers is the answer: a runner that is starting is no reason to kill it. */
void
status_live(struct status *status, struct exchange *exchange)
{
	(void)status;
	reply_send(&exchange->reply, 200, NULL, OK_BODY, strlen(OK_BODY));
}

void
status_ready(struct status *status, struct exchange *exchange)
{
	char error[RUNNER_LINK_ERROR_SIZE];
	struct proto_state state;

	if (runner_view_state(&status->view, &state, error) != 0)
		unreachable(exchange, error);
	else
		answer_state(exchange, state.ready != 0, &state, "the queue is full, or the service is being stopped");
}

/* ---- languages and capabilities ---------------------------------------------------------------------------------- */

static struct json_object *
list_of(const struct strings *strings)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < strings->count; i++)
		json_object_array_add(list, json_object_new_string(strings->item[i]));
	return list;
}

static struct json_object *
describe_language(const struct language_config *config, const struct proto_language *language)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name", json_object_new_string(config->name));
	json_object_object_add(object, "aliases", list_of(&config->aliases));
	json_object_object_add(object, "family", json_object_new_string(config->family));
	json_object_object_add(object, "default", json_object_new_boolean(config->is_default));
	json_object_object_add(object, "version", text(language->version, sizeof language->version));
	json_object_object_add(object, "start", json_object_new_string(proto_start_name(language->start)));
	json_object_object_add(object, "available", json_object_new_boolean(language->available != 0));
	json_object_object_add(object, "reason", text(language->reason, sizeof language->reason));
	if (config_is_compiled(config))
		json_object_object_add(object, "compiler_options", list_of(&config->compile.options));
	return object;
}

void
status_languages(struct status *status, struct exchange *exchange)
{
	const struct config *config = status->config;
	struct proto_language languages[CONFIG_MAX_LANGUAGES];
	char error[RUNNER_LINK_ERROR_SIZE];
	struct json_object *list, *data;

	if (runner_view_languages(&status->view, languages, error) != 0) {
		unreachable(exchange, error);
		return;
	}
	if (is_outdated(status, exchange))
		return;
	list = json_object_new_array();
	data = json_object_new_object();
	json_object_object_add(data, "languages", list);
	for (size_t i = 0; i < config->language_count; i++)
		json_object_array_add(list, describe_language(config->language[i], &languages[i]));
	reply_data(&exchange->reply, data);
}

static struct json_object *
describe_limits(const struct limits_config *config)
{
	struct json_object *object = json_object_new_object();
	struct run_limits usual = config->default_;

	run_limits_settle_stack(&usual, &config->maximum);
	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		const struct request_limit *limit = &request_limits[i];
		struct json_object *both = json_object_new_object();
		uint64_t default_ = request_limit_of(limit, &usual);
		uint64_t maximum = request_limit_of(limit, &config->maximum);

		json_object_object_add(both, "default", json_object_new_uint64(default_));
		json_object_object_add(both, "maximum", json_object_new_uint64(maximum));
		json_object_object_add(object, limit->name, both);
	}
	return object;
}

/* List how the programs of each available language are started. */
static struct json_object *
describe_starts(const struct config *config, const struct proto_language *languages)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < config->language_count; i++) {
		if (languages[i].available != 0)
			json_object_object_add(object, config->language[i]->name,
			    json_object_new_string(proto_start_name(languages[i].start)));
	}
	return object;
}

static struct json_object *
describe_layers(const struct proto_layer *layers, size_t count)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < count; i++) {
		const struct proto_layer *layer = &layers[i];
		struct json_object *one = json_object_new_object();
		char name[CLEAN_SIZE];

		json_object_object_add(one, "required", json_object_new_boolean(layer->required != 0));
		json_object_object_add(one, "in_force", json_object_new_boolean(layer->in_force != 0));
		json_object_object_add(one, "detail", text(layer->detail, sizeof layer->detail));
		json_object_object_add(object, clean(layer->name, sizeof layer->name, name), one);
	}
	return object;
}

void
status_capabilities(struct status *status, struct exchange *exchange)
{
	const struct config *config = status->config;
	struct proto_language languages[CONFIG_MAX_LANGUAGES];
	struct proto_layer layers[RUNNER_VIEW_LAYERS];
	char error[RUNNER_LINK_ERROR_SIZE];
	struct json_object *data;
	enum level level;
	size_t count;

	if (runner_view_layers(&status->view, layers, &count, &level, error) != 0 ||
	    runner_view_languages(&status->view, languages, error) != 0) {
		unreachable(exchange, error);
		return;
	}
	if (is_outdated(status, exchange))
		return;
	data = json_object_new_object();
	json_object_object_add(data, "version", json_object_new_string(PACKAGE_VERSION));
	json_object_object_add(data, "layers", describe_layers(layers, count));
	json_object_object_add(data, "level", json_object_new_string(proto_level_name(level)));
	if (config->level_note != NULL)
		json_object_object_add(data, "level_note", json_object_new_string(config->level_note));
	json_object_object_add(data, "languages", describe_starts(config, languages));
	json_object_object_add(data, "limits", describe_limits(&config->limits));
	json_object_object_add(data, "network", json_object_new_string(proto_network_name(config->network)));
	json_object_object_add(data, "loopback", json_object_new_boolean(config_has_loopback(config)));
	reply_data(&exchange->reply, data);
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

/* Send a text that metrics_text.c has written, which is freed. */
static void
send_text(struct exchange *exchange, char *text, size_t size)
{
	FCGX_FPrintF(exchange->reply.out, "Status: 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", METRICS_TEXT_TYPE,
	    (int)size);
	FCGX_PutStr(text, (int)size, exchange->reply.out);
	exchange->reply.status = 200;
	exchange->reply.bytes = size;
	free(text);
}

void
status_metrics(struct status *status, struct exchange *exchange)
{
	char error[RUNNER_LINK_ERROR_SIZE], *text = NULL;
	struct metrics *metrics = malloc(sizeof *metrics);
	enum level level = LEVEL_NAMESPACES;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool is_known;

	if (metrics == NULL || out == NULL) {
		if (out != NULL)
			fclose(out);
		free(text);
		free(metrics);
		no_memory(exchange);
		return;
	}
	is_known = runner_view_metrics(&status->view, metrics, &level, error) == 0;
	metrics_text_service(out, is_known ? metrics : NULL, level);
	store_metrics_put(out, status->config);
	free(metrics);
	if (fclose(out) != 0) {
		free(text);
		no_memory(exchange);
		return;
	}
	send_text(exchange, text, size);
}

void
status_key_metrics(struct status *status, struct exchange *exchange)
{
	char error[RUNNER_LINK_ERROR_SIZE], *text = NULL;
	struct metrics *metrics = malloc(sizeof *metrics);
	enum level level;
	size_t size;
	FILE *out;

	if (metrics == NULL) {
		no_memory(exchange);
		return;
	}
	if (runner_view_metrics(&status->view, metrics, &level, error) != 0) {
		free(metrics);
		unreachable(exchange, error);
		return;
	}
	out = open_memstream(&text, &size);
	if (out != NULL)
		metrics_text_keys(out, metrics);
	free(metrics);
	if (out == NULL || fclose(out) != 0) {
		free(text);
		no_memory(exchange);
		return;
	}
	send_text(exchange, text, size);
}
