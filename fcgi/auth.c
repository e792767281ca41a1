/* auth.c - see auth.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "auth.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "request_tests.h"

_Static_assert(SHA256_DIGEST_LENGTH == CONFIG_KEY_DIGEST_SIZE, "a digest is SHA-256");

#define BEARER "bearer "
#define LIBFCGI_BUFFER_BYTES 8192

/*
 * nginx slows wrong keys by address: it answers by this location, which is limited, instead of
 * passing the worker's answer on. No thread of a worker waits meanwhile. See
 * nginx/cellblock.conf.in.
 */
#define SLOWED REPLY_REPLACED "/.unauthorized\r\n"
#define SLOWED_EXPIRED REPLY_REPLACED "/.unauthorized?expired\r\n"

/* The token of "Bearer TOKEN", or "". */
static const char *
bearer_token(const char *authorization)
{
	if (strncasecmp(authorization, BEARER, strlen(BEARER)) != 0)
		return "";
	authorization += strlen(BEARER);
	return authorization + strspn(authorization, " ");
}

/* nginx joins several headers by commas, which no key contains. The first one counts. */
static void
digest_of(const char *key, uint8_t digest[CONFIG_KEY_DIGEST_SIZE])
{
	SHA2_CTX context;

	SHA256Init(&context);
	SHA256Update(&context, (const uint8_t *)key, strcspn(key, ","));
	SHA256Final(digest, &context);
	explicit_bzero(&context, sizeof context);
}

static void
wipe_parameter(struct exchange *exchange, const char *name)
{
	char *value = FCGX_GetParam(name, exchange->fcgi->envp);

	if (value != NULL)
		explicit_bzero(value, strlen(value));
}

/*
 * Wipe what libfcgi has read so far from its buffer, where the parameters were. It does not publish
 * the buffer's start, which has been the first member of its private data in all of its releases;
 * nothing is wiped if what is there cannot be that. The body follows at rdNext.
 */
static void
wipe_buffer(FCGX_Stream *in)
{
	struct {
		unsigned char *start;
		int size;
	} buffer;

	if (in == NULL || in->data == NULL)
		return;
	memcpy(&buffer, in->data, sizeof buffer);
	if (buffer.size == LIBFCGI_BUFFER_BYTES && buffer.start != NULL && in->rdNext >= buffer.start &&
	    in->rdNext <= buffer.start + buffer.size)
		explicit_bzero(buffer.start, (size_t)(in->rdNext - buffer.start));
}

static int
refuse(struct exchange *exchange, const char *text, const char *header)
{
	struct http_error error;

	exchange->outcome = "unauthorized";
	http_error_set(&error, 401, "%s", text);
	reply_error(&exchange->reply, &error, header);
	return -1;
}

/* The key of a request that presents none. `otherwise`: its name; NULL: the open key. */
static const struct key_config *
key_of_none(const struct key_list *keys, const char *otherwise)
{
	if (otherwise == NULL)
		return config_key_open(keys);
	for (size_t i = 0; i < keys->count; i++) {
		if (strcmp(keys->key[i].name, otherwise) == 0)
			return &keys->key[i];
	}
	return NULL;
}

enum auth
auth_find(const struct key_list *keys, struct exchange *exchange, const char *otherwise)
{
	const char *presented = exchange_parameter(exchange, "CELLBLOCK_KEY");
	uint8_t digest[CONFIG_KEY_DIGEST_SIZE];
	const struct key_config *key;

	if (*presented == '\0')
		presented = bearer_token(exchange_parameter(exchange, "CELLBLOCK_AUTHORIZATION"));
	digest_of(presented, digest);
	key = *presented != '\0' ? config_key_find(keys, digest) : key_of_none(keys, otherwise);
	explicit_bzero(digest, sizeof digest);
	wipe_parameter(exchange, "CELLBLOCK_KEY");
	wipe_parameter(exchange, "CELLBLOCK_AUTHORIZATION");
	wipe_buffer(exchange->fcgi->in);
	if (key == NULL)
		return AUTH_UNKNOWN;
	snprintf(exchange->key_name, sizeof exchange->key_name, "%s", key->name);
	if (key->expires_s > 0 && (uint64_t)time(NULL) >= key->expires_s)
		return AUTH_EXPIRED;
	exchange->key = key;
	return AUTH_GOOD;
}

int
auth_check(const struct key_list *keys, struct exchange *exchange)
{
	switch (auth_find(keys, exchange, NULL)) {
	case AUTH_UNKNOWN:
		return refuse(exchange, "unauthorized: a valid X-Api-Key header is required", SLOWED);
	case AUTH_EXPIRED:
		return refuse(exchange, "unauthorized: this key has expired", SLOWED_EXPIRED);
	case AUTH_GOOD:
		break;
	}
	return 0;
}

bool
auth_is_operator(const struct exchange *exchange)
{
	return exchange->key != NULL && exchange->key->is_operator;
}

static int
check_language(const struct config *config, const struct key_config *key, const struct run_request *request,
    struct http_error *error)
{
	char known[HTTP_ERROR_TEXT_SIZE] = "";

	if (key->all_languages || key->language[request->language])
		return 0;
	for (size_t i = 0; i < config->language_count; i++) {
		size_t at = strlen(known);

		if (key->language[i])
			snprintf(known + at, sizeof known - at, "%s%s", at > 0 ? ", " : "", config->language[i]->name);
	}
	return http_error_set(error, 400, "language: this key may not use %s, only: %s",
	    config->language[request->language]->name, known);
}

/* Whether the client has asked for a limit, instead of leaving it to the configuration. */
static bool
asked_for(const struct run_request *request, const char *limit)
{
	struct json_object *limits, *value;

	return json_object_object_get_ex(request->tree, "limits", &limits) && limits != NULL &&
	    json_object_object_get_ex(limits, limit, &value) && value != NULL;
}

static int
check_limits(const struct config *config, const struct key_config *key, struct run_request *request, struct http_error *error)
{
	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		const struct request_limit *limit = &request_limits[i];
		uint64_t maximum = request_limit_of(limit, &key->maximum);

		if (request_limit_of(limit, &request->maximum) > maximum)
			memcpy((char *)&request->maximum + limit->offset, &maximum, sizeof maximum);
		if (request_limit_of(limit, &request->limits) <= maximum)
			continue;
		if (asked_for(request, limit->name))
			return http_error_set(error, 400,
			    "limits.%s: must be an integer from %" PRIu64 " to %" PRIu64 " for this key", limit->name,
			    limit->least < maximum ? limit->least : maximum, maximum);
		memcpy((char *)&request->limits + limit->offset, &maximum, sizeof maximum);
	}
	/* A run that the key holds to one process has threads like any other (request.c). */
	if (request->limits.processes == 1 && request->limits.threads == 0)
		request->limits.threads = config->language[request->language]->limits.default_.threads <
		        request->maximum.threads ?
		    config->language[request->language]->limits.default_.threads :
		    request->maximum.threads;
	return 0;
}

/* Hold each test to the key's limits, and each program of the request's own to all of them. */
static int
check_tests(const struct config *config, const struct key_config *key, struct run_request *request, struct http_error *error)
{
	struct request_tests *tests = request->tests;

	for (size_t i = 0; tests != NULL && i < tests->count; i++) {
		struct run_request part = *request;

		part.tree = tests->test[i].object;
		part.limits = tests->test[i].limits;
		if (check_limits(config, key, &part, error) != 0)
			return request_tests_blame(i, error);
		tests->test[i].limits = part.limits;
	}
	for (size_t i = 0; tests != NULL && i < tests->programs; i++) {
		if (auth_check_request(config, key, tests->program[i], error) != 0)
			return -1;
	}
	return tests == NULL || tests->interactor == NULL ? 0 : auth_check_request(config, key, tests->interactor, error);
}

int
auth_check_request(const struct config *config, const struct key_config *key, struct run_request *request,
    struct http_error *error)
{
	if (check_language(config, key, request, error) != 0 || check_limits(config, key, request, error) != 0 ||
	    check_tests(config, key, request, error) != 0)
		return -1;
	request->proxy = key->proxy;
	request->key_lacks_network = key->no_network;
	request->may_loopback = key->loopback && config_has_loopback(config);
	if (request->loopback && !key->loopback)
		return http_error_set(error, 400, "network: the key of this request has no \"loopback\"");
	if (key->no_network)
		return request_leave_network(config, request, error);
	return 0;
}

void
auth_share(const struct key_config *key, struct run_share *share)
{
	*share = (struct run_share){
		.weight = key->share.weight,
		.running = key->share.running,
		.waiting = key->share.waiting,
		.rate = key->share.rate,
		.burst = key->share.burst,
	};
	snprintf(share->name, sizeof share->name, "%s", key->name);
}
