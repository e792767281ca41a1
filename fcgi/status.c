/*
 * status.c - see status.h. Runs in the worker. The answers come from the runner and from the
 * configuration.
 */
#define _GNU_SOURCE
#include "status.h"

#include <json-c/json.h>
#include <string.h>

#include "autoconfig.h"
#include "json_text.h"

#define MAX_LAYERS 64

static void
unavailable(struct exchange *exchange, const char *why, const char *cause)
{
	struct http_error error;

	http_error_set(&error, 503, "%s", why);
	exchange_fail(exchange, &error, cause);
}

/* Ask the runner. Returns 0; or -1 after the request was answered with 503. */
static int
ask(struct worker *worker, struct exchange *exchange, uint32_t kind, uint32_t index, struct proto_reply *reply)
{
	struct proto_request request = { .kind = kind, .index = index };

	if (runner_link_ask(&worker->link, &request, RECONNECT_ONCE, reply) == 0)
		return 0;
	unavailable(exchange, "the runner cannot be reached", worker->link.error);
	return -1;
}

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

void
status_health(struct worker *worker, struct exchange *exchange)
{
	struct proto_reply answer;
	struct proto_state *state = &answer.u.state;

	if (ask(worker, exchange, PROTO_STATE, 0, &answer) != 0)
		return;
	if (!state->healthy) {
		state->reason[sizeof state->reason - 1] = '\0';
		unavailable(exchange, state->reason[0] != '\0' ? state->reason : "the runner is not ready to serve", NULL);
		return;
	}
	reply_send(&exchange->reply, 200, NULL, "\"ok\"", 4);
}

static struct json_object *
describe_language(const struct language_config *config, const struct proto_language *language)
{
	struct json_object *object = json_object_new_object();
	struct json_object *aliases = json_object_new_array();

	for (size_t i = 0; i < config->aliases.count; i++)
		json_object_array_add(aliases, json_object_new_string(config->aliases.item[i]));
	json_object_object_add(object, "name", json_object_new_string(config->name));
	json_object_object_add(object, "aliases", aliases);
	json_object_object_add(object, "version", text(language->version, sizeof language->version));
	json_object_object_add(object, "start", json_object_new_string(proto_start_name(language->start)));
	json_object_object_add(object, "available", json_object_new_boolean(language->available != 0));
	json_object_object_add(object, "reason", text(language->reason, sizeof language->reason));
	return object;
}

void
status_languages(struct worker *worker, struct exchange *exchange)
{
	const struct config *config = worker->config;
	struct json_object *list = json_object_new_array();
	struct json_object *data = json_object_new_object();

	json_object_object_add(data, "languages", list);
	for (size_t i = 0; i < config->language_count; i++) {
		struct proto_reply answer;

		if (ask(worker, exchange, PROTO_LANGUAGE, (uint32_t)i, &answer) != 0) {
			json_object_put(data);
			return;
		}
		json_object_array_add(list, describe_language(config->language[i], &answer.u.language));
	}
	reply_data(&exchange->reply, data);
}

void
status_name_languages(struct worker *worker, struct http_error *error)
{
	size_t listed = 0;

	for (size_t i = 0; i < worker->config->language_count; i++) {
		struct proto_request request = { .kind = PROTO_LANGUAGE, .index = (uint32_t)i };
		struct proto_reply answer;

		/* The runner may be away; the error is true without a list. */
		if (runner_link_ask(&worker->link, &request, RECONNECT_ONCE, &answer) != 0)
			return;
		if (answer.u.language.available != 0)
			http_error_append(error, "%s %s", listed++ == 0 ? "; supported are:" : ",",
			    worker->config->language[i]->name);
	}
}

static struct json_object *
describe_limits(const struct limits_config *config)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		const struct request_limit *limit = &request_limits[i];
		struct json_object *both = json_object_new_object();
		uint64_t default_ = request_limit_of(limit, &config->default_);
		uint64_t maximum = request_limit_of(limit, &config->maximum);

		json_object_object_add(both, "default", json_object_new_uint64(default_));
		json_object_object_add(both, "maximum", json_object_new_uint64(maximum));
		json_object_object_add(object, limit->name, both);
	}
	return object;
}

/*
 * List how the programs of each available language are started. Returns 0; or -1 after the request
 * was answered.
 */
static int
describe_starts(struct worker *worker, struct exchange *exchange, struct json_object *languages)
{
	for (size_t i = 0; i < worker->config->language_count; i++) {
		struct proto_reply answer;

		if (ask(worker, exchange, PROTO_LANGUAGE, (uint32_t)i, &answer) != 0)
			return -1;
		if (answer.u.language.available != 0)
			json_object_object_add(languages, worker->config->language[i]->name,
			    json_object_new_string(proto_start_name(answer.u.language.start)));
	}
	return 0;
}

void
status_capabilities(struct worker *worker, struct exchange *exchange)
{
	struct json_object *data = json_object_new_object();
	struct json_object *layers = json_object_new_object();
	struct json_object *languages;

	json_object_object_add(data, "version", json_object_new_string(PACKAGE_VERSION));
	json_object_object_add(data, "layers", layers);
	for (uint32_t i = 0; i < MAX_LAYERS; i++) {
		struct proto_reply answer;
		struct proto_layer *layer = &answer.u.layer;
		struct json_object *object;
		char name[CLEAN_SIZE];

		if (ask(worker, exchange, PROTO_LAYER, i, &answer) != 0) {
			json_object_put(data);
			return;
		}
		if (*clean(layer->name, sizeof layer->name, name) == '\0')
			break;
		object = json_object_new_object();
		json_object_object_add(object, "required", json_object_new_boolean(layer->required != 0));
		json_object_object_add(object, "in_force", json_object_new_boolean(layer->in_force != 0));
		json_object_object_add(object, "detail", text(layer->detail, sizeof layer->detail));
		json_object_object_add(layers, name, object);
	}
	json_object_object_add(data, "level", json_object_new_string(proto_level_name(worker->link.level)));
	languages = json_object_new_object();
	json_object_object_add(data, "languages", languages);
	if (describe_starts(worker, exchange, languages) != 0) {
		json_object_put(data);
		return;
	}
	json_object_object_add(data, "limits", describe_limits(&worker->config->limits));
	json_object_object_add(data, "network", json_object_new_string(proto_network_name(worker->config->network)));
	reply_data(&exchange->reply, data);
}
