/*
 * http.c - see http.h. Runs in a thread of the store, over untrusted input.
 *
 * nginx passes the body of a PUT on as it comes, so a thread has a slow client for as long as that
 * client sends. Its pace has a lower bound, and the threads that uploads may have an upper one.
 */
#define _GNU_SOURCE
#include "http.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "clock.h"
#include "cors.h"
#include "exchange_log.h"

#define ROUTE "/v1/sandbox/files"
#define METHODS "PUT, HEAD, GET, DELETE"
#define BLOCK_BYTES (64 * 1024)
#define SLOW_MS 30000                /* for a file to be sent or taken, ... */
#define SLOW_BYTES_PER_S (64 * 1024) /* ... and the slowest pace on top of that */
#define STOP_MS 5000                 /* for uploads in progress when the store stops */
#define UPLOADS_MOST 24              /* threads that uploads may have; the others have one always */
#define UPLOADS_OF_KEY 8
#define REQUESTS_OF_KEY 16 /* half of the threads */
#define DRAIN_MS 2000      /* for nginx to take an answer that came before the end of the body */

/* ---- ids --------------------------------------------------------------------------------------------------------- */

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns 0, or -1 if the text is no id. */
static int
read_id(const char *text, uint8_t digest[PROTO_DIGEST_SIZE])
{
	if (strlen(text) != STORE_ID_LENGTH || strncmp(text, STORE_ID_PREFIX, strlen(STORE_ID_PREFIX)) != 0)
		return -1;
	text += strlen(STORE_ID_PREFIX);
	for (size_t i = 0; i < PROTO_DIGEST_SIZE; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		digest[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static void
answer_id(struct exchange *exchange, const uint8_t digest[PROTO_DIGEST_SIZE], uint64_t size)
{
	char hex[2 * CONFIG_KEY_DIGEST_SIZE + 1], json[256];
	int n;

	config_key_hex(digest, hex);
	n = snprintf(json, sizeof json,
	    "{\"code\":0,\"message\":\"success\",\"data\":{\"id\":\"" STORE_ID_PREFIX "%s\",\"size\":%" PRIu64 "}}", hex, size);
	reply_send(&exchange->reply, 200, NULL, json, (size_t)n);
}

/* ---- PUT --------------------------------------------------------------------------------------------------------- */

/* Say why the store does not have the file. */
static void
explain(struct http_context *context, struct exchange *exchange, enum store_fault fault)
{
	const struct config *config = context->config;
	uint64_t quota = exchange->key->store_bytes;
	struct http_error error;

	exchange->outcome = "refused";
	switch (fault) {
	case STORE_TOO_LARGE:
		http_error_set(&error, 413, "body: must not be larger than %" PRIu64 " bytes",
		    config->store_file_bytes < quota ? config->store_file_bytes : quota);
		break;
	case STORE_BUSY:
		exchange->outcome = "busy";
		http_error_set(&error, exchange->key->busy_status == BUSY_503 ? 503 : 429,
		    "too many requests: this key may have %d uploads at a time", UPLOADS_OF_KEY);
		break;
	case STORE_KEY_FULL:
		http_error_set(&error, 507,
		    "insufficient storage: uploads in progress take all that this key may have, %" PRIu64 " bytes", quota);
		break;
	case STORE_FULL:
		http_error_set(&error, 507, "insufficient storage: uploads in progress take all of the store; try again later");
		break;
	case STORE_NO_SPACE:
		http_error_set(&error, 507, "insufficient storage: the disk of this server is full");
		break;
	default:
		exchange->outcome = "fault";
		http_error_set(&error, 500, "the file could not be stored");
		break;
	}
	exchange_fail(exchange, &error, NULL);
}

/*
 * Wait for a part of the body, and find how much of it is there. Returns a positive number; 0 at
 * the end of the body; or -1: it was broken off.
 */
static int
next_part(FCGX_Stream *in)
{
	int c = FCGX_GetChar(in), left;

	if (c < 0)
		return FCGX_GetError(in) == 0 ? 0 : -1;
	FCGX_UnGetChar(c, in);
	left = (int)(in->stop - in->rdNext);
	return left > 0 ? left : 1;
}

/* Set `error` to why an upload must end now, if so. Returns 0 or -1. */
static int
check_pace(struct http_context *context, const struct store_upload *upload, uint64_t begun_us, uint64_t *stopping_us,
    struct http_error *error)
{
	uint64_t now_us = clock_us();

	if (atomic_load(&context->is_stopping)) {
		if (*stopping_us == 0)
			*stopping_us = now_us;
		if (now_us - *stopping_us > STOP_MS * 1000)
			return http_error_set(error, 503, "the store stops; nothing was stored");
	}
	if (now_us - begun_us <= SLOW_MS * 1000 + upload->size * 1000000 / SLOW_BYTES_PER_S)
		return 0;
	return http_error_set(error, 408, "body: comes too slowly: a file may take %d s, and a second for each %d bytes",
	    SLOW_MS / 1000, SLOW_BYTES_PER_S);
}

/*
 * Read the body into the upload. Returns 0; or -1 after the request was answered, or its client has
 * gone.
 */
static int
take_body(struct http_context *context, struct exchange *exchange, uint64_t expected, struct store_upload *upload)
{
	FCGX_Stream *in = exchange->fcgi->in;
	uint64_t begun_us = clock_us(), stopping_us = 0;
	char block[BLOCK_BYTES];
	struct http_error error;
	size_t filled = 0;

	for (;;) {
		int part = next_part(in);
		enum store_fault fault = STORE_OK;

		if (part > (int)(sizeof block - filled))
			part = (int)(sizeof block - filled);
		if (part > 0)
			filled += (size_t)FCGX_GetStr(block + filled, part, in);
		if (part <= 0 || filled == sizeof block) {
			fault = store_write(context->store, upload, block, filled);
			filled = 0;
		}
		if (fault != STORE_OK) {
			explain(context, exchange, fault);
			return -1;
		}
		if (part < 0 || (part == 0 && expected != STORE_NO_SIZE && upload->size != expected)) {
			exchange->outcome = "broken";
			http_error_set(&error, 400, "body: is shorter than its Content-Length, or was broken off");
			exchange_fail(exchange, &error, NULL);
			return -1;
		}
		if (part == 0)
			return 0;
		if (check_pace(context, upload, begun_us, &stopping_us, &error) != 0) {
			exchange->outcome = "slow";
			exchange_fail(exchange, &error, NULL);
			return -1;
		}
	}
}

/* The Content-Length; STORE_NO_SIZE without one. Returns 0, or -1 with `error` set. */
static int
take_length(const struct exchange *exchange, uint64_t *expected, struct http_error *error)
{
	const char *text = exchange_parameter(exchange, "CONTENT_LENGTH");
	char *end;

	*expected = STORE_NO_SIZE;
	if (*text == '\0')
		return 0;
	errno = 0;
	*expected = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0)
		return http_error_set(error, 400, "Content-Length: must be a number");
	return 0;
}

static void
put_file(struct http_context *context, struct exchange *exchange)
{
	uint8_t digest[PROTO_DIGEST_SIZE];
	struct store_upload upload;
	struct http_error error;
	enum store_fault fault;
	uint64_t expected, size;

	if (take_length(exchange, &expected, &error) != 0) {
		exchange_fail(exchange, &error, NULL);
		return;
	}
	if (atomic_fetch_add(&context->uploads, 1) >= UPLOADS_MOST) {
		atomic_fetch_sub(&context->uploads, 1);
		exchange->outcome = "busy";
		http_error_set(&error, 503, "busy: the store has as many uploads as it takes at a time");
		exchange_fail(exchange, &error, NULL);
		return;
	}
	fault = store_begin(context->store, exchange->key->name, exchange->key->store_bytes, UPLOADS_OF_KEY, expected, &upload);
	if (fault != STORE_OK) {
		explain(context, exchange, fault);
	} else if (take_body(context, exchange, expected, &upload) != 0) {
		store_drop(context->store, &upload);
	} else {
		size = upload.size;
		exchange->log.bytes_in = (size_t)size;
		fault = store_commit(context->store, &upload, digest);
		if (fault == STORE_OK)
			answer_id(exchange, digest, size);
		else
			explain(context, exchange, fault);
	}
	atomic_fetch_sub(&context->uploads, 1);
}

/* ---- HEAD, GET, DELETE -------------------------------------------------------------------------------------------- */

static void
answer_unknown(struct exchange *exchange)
{
	struct http_error error;

	exchange->outcome = "unknown";
	http_error_set(&error, 404, "not found: this key has no such file");
	reply_error(&exchange->reply, &error, NULL);
}

/* A client that gets less than all of it can tell: it has the length. */
static void
send_content(struct exchange *exchange, int fd, uint64_t size)
{
	char block[BLOCK_BYTES];

	for (uint64_t at = 0; at < size && !exchange->reply.is_cut;) {
		ssize_t n = pread(fd, block, size - at < sizeof block ? size - at : sizeof block, (off_t)at);

		if (n <= 0) {
			exchange->outcome = "fault";
			return;
		}
		reply_put(&exchange->reply, block, (size_t)n);
		at += (uint64_t)n;
	}
}

static void
get_file(struct http_context *context, struct exchange *exchange, const uint8_t digest[PROTO_DIGEST_SIZE], bool with_content)
{
	uint64_t size;
	int fd = store_get(context->store, exchange->key->name, digest, &size);
	char head[512 + REPLY_HEADER_SIZE];
	int n;

	if (fd < 0) {
		answer_unknown(exchange);
		return;
	}
	exchange->reply.status = 200;
	exchange->reply.bytes = (size_t)size;
	exchange->reply.deadline_us = clock_us() + SLOW_MS * 1000 + size * 1000000 / SLOW_BYTES_PER_S;
	/* A browser must not take a stranger's file for a page of this host. */
	n = snprintf(head, sizeof head,
	    "Status: 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %" PRIu64
	    "\r\nContent-Disposition: attachment\r\nX-Content-Type-Options: nosniff\r\n%s\r\n",
	    size, exchange->reply.header);
	reply_put(&exchange->reply, head, (size_t)n);
	if (with_content)
		send_content(exchange, fd, size);
	close(fd);
}

static void
delete_file(struct http_context *context, struct exchange *exchange, const uint8_t digest[PROTO_DIGEST_SIZE])
{
	static const char json[] = "{\"code\":0,\"message\":\"success\",\"data\":{\"deleted\":true}}";

	if (store_delete(context->store, exchange->key->name, digest))
		reply_send(&exchange->reply, 200, NULL, json, strlen(json));
	else
		answer_unknown(exchange);
}

/* ---- a request --------------------------------------------------------------------------------------------------- */

static void
refuse_method(struct exchange *exchange, const char *allow)
{
	struct http_error error;

	http_error_set(&error, 405, "method not allowed");
	reply_error(&exchange->reply, &error, allow);
}

static void
serve_file(struct http_context *context, struct exchange *exchange, const char *id, const char *method)
{
	uint8_t digest[PROTO_DIGEST_SIZE];
	struct http_error error;

	if (read_id(id, digest) != 0) {
		http_error_set(&error, 400, "id: must be " STORE_ID_PREFIX " and %d hexadecimal digits, in small letters",
		    STORE_DIGITS);
		exchange_fail(exchange, &error, NULL);
	} else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
		get_file(context, exchange, digest, *method == 'G');
	} else if (strcmp(method, "DELETE") == 0) {
		delete_file(context, exchange, digest);
	} else {
		refuse_method(exchange, "Allow: GET, HEAD, DELETE\r\n");
	}
}

/*
 * Serve a request of a key, unless the key has as many as it may. `path`: behind that of the route.
 */
static void
serve_key(struct http_context *context, struct exchange *exchange, const char *path, const char *method)
{
	atomic_uint *of_key = &context->of_key[exchange->key - context->keys->key];
	struct http_error error;

	if (atomic_fetch_add(of_key, 1) >= REQUESTS_OF_KEY) {
		exchange->outcome = "busy";
		http_error_set(&error, exchange->key->busy_status == BUSY_503 ? 503 : 429,
		    "too many requests: this key may have %d for files at a time", REQUESTS_OF_KEY);
		exchange_fail(exchange, &error, NULL);
	} else if (*path == '/') {
		serve_file(context, exchange, path + 1, method);
	} else if (strcmp(method, "PUT") == 0) {
		put_file(context, exchange);
	} else {
		refuse_method(exchange, "Allow: PUT\r\n");
	}
	atomic_fetch_sub(of_key, 1);
}

/* Returns the route for the log. */
static const char *
dispatch(struct http_context *context, struct exchange *exchange)
{
	const char *path = exchange_parameter(exchange, "DOCUMENT_URI");
	const char *method = exchange_parameter(exchange, "REQUEST_METHOD");
	size_t length = strlen(ROUTE);
	struct http_error error;
	bool is_shared = cors_add_headers(context->config, exchange_parameter(exchange, "CELLBLOCK_ORIGIN"), &exchange->reply);

	if (strncmp(path, ROUTE, length) != 0 || (path[length] != '\0' && path[length] != '/')) {
		if (auth_check(context->keys, exchange) == 0) {
			http_error_set(&error, 404, "not found: there is no such route");
			exchange_fail(exchange, &error, NULL);
		}
		return "-";
	}
	if (is_shared && strcmp(method, "OPTIONS") == 0) {
		cors_answer_preflight(&exchange->reply, METHODS);
		return ROUTE;
	}
	if (auth_check(context->keys, exchange) != 0)
		return ROUTE;
	if (context->store == NULL) {
		http_error_set(&error, 404, "not found: this server keeps no files");
		exchange_fail(exchange, &error, NULL);
		return ROUTE;
	}
	serve_key(context, exchange, path + length, method);
	return path[length] == '/' ? ROUTE "/ID" : ROUTE;
}

/*
 * End the request. If its body was not read to the end, nginx is still sending it, and would miss
 * the answer if the connection were reset.
 */
static void
end_request(FCGX_Request *fcgi)
{
	struct pollfd nginx = { .events = POLLIN };
	uint64_t until_us = clock_us() + DRAIN_MS * 1000;
	bool is_whole = FCGX_HasSeenEOF(fcgi->in) != 0;
	char rest[BLOCK_BYTES];

	fcgi->keepConnection = 1;
	FCGX_Finish_r(fcgi);
	if (fcgi->ipcFd < 0)
		return;
	nginx.fd = fcgi->ipcFd;
	if (!is_whole && shutdown(fcgi->ipcFd, SHUT_WR) == 0) {
		for (uint64_t now_us = clock_us(); now_us < until_us; now_us = clock_us()) {
			if (poll(&nginx, 1, (int)((until_us - now_us) / 1000) + 1) <= 0 ||
			    read(fcgi->ipcFd, rest, sizeof rest) <= 0)
				break;
		}
	}
	close(fcgi->ipcFd);
	fcgi->ipcFd = -1;
}

void
http_serve(struct http_context *context, FCGX_Request *fcgi)
{
	struct exchange exchange = exchange_begin(fcgi);
	uint64_t start_us = clock_us();
	char traceparent[TRACEPARENT_SIZE] = "";
	const char *route;

	exchange_log_traceparent(&exchange, traceparent);
	route = dispatch(context, &exchange);
	end_request(fcgi);
	exchange_log_write(&exchange, route, clock_us() - start_us);
}
