/*
 * auth_test.c - who is let in by which header, what is left of a key afterwards, and what a key may
 * have.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "log.h"
#include "request_config.h"

#define BUFFER_BYTES 8192

static char x_api_key[64], authorization[64];
static char sent[4096];
static struct key_config key[3];
static struct key_list keys = { key, 3 };
static struct exchange exchange;
static FCGX_Request fcgi;
static FCGX_Stream in;

/* The private data of a stream of libfcgi, as far as auth.c knows it. */
static struct {
	unsigned char *start;
	int size;
} buffer;

char *
FCGX_GetParam(const char *name, FCGX_ParamArray envp)
{
	(void)envp;
	return strcmp(name, "CELLBLOCK_KEY") == 0        ? x_api_key :
	    strcmp(name, "CELLBLOCK_AUTHORIZATION") == 0 ? authorization :
	                                                   NULL;
}

int
FCGX_PutStr(const char *bytes, int size, FCGX_Stream *stream)
{
	(void)stream;
	strncat(sent, bytes, (size_t)size);
	return size;
}

static bool
is_wiped(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] != '\0')
			return false;
	}
	return true;
}

/* Returns whether the client is let in. */
static bool
present(const char *header, const char *bearer)
{
	int result;

	snprintf(x_api_key, sizeof x_api_key, "%s", header);
	snprintf(authorization, sizeof authorization, "%s", bearer);
	sent[0] = '\0';
	fcgi.in = &in;
	exchange = (struct exchange){ .fcgi = &fcgi, .key_name = "-" };
	result = auth_check(&keys, &exchange);
	assert_true(is_wiped(x_api_key, strlen(header)) && is_wiped(authorization, strlen(bearer)));
	assert_int_equal(exchange.reply.status, result == 0 ? 0 : 401);
	assert_true((result == 0) == (exchange.key != NULL));
	return result == 0;
}

static void
test_headers(void **state)
{
	(void)state;
	assert_true(present("first-key", ""));
	assert_ptr_equal(exchange.key, &key[0]);
	assert_string_equal(exchange.key_name, "first");
	assert_true(present("", "Bearer second-key"));
	assert_ptr_equal(exchange.key, &key[1]);
	assert_true(present("", "bEARER   second-key"));
	assert_true(present("first-key", "Bearer second-key"));
	assert_ptr_equal(exchange.key, &key[0]);
	assert_false(present("wrong", "Bearer second-key"));
	assert_string_equal(exchange.key_name, "-");
	assert_non_null(strstr(sent, "X-Accel-Redirect: /.unauthorized\r\n"));
	assert_false(present("", ""));
	assert_false(present("", "Bearer"));
	assert_false(present("", "Bearer "));
	assert_false(present("", "Basic second-key"));
	assert_false(present("", "second-key"));
	assert_false(present("First-key", ""));
	assert_false(present("first-key ", ""));
	/* Of several headers, which nginx joins, the first counts. */
	assert_true(present("first-key, second-key", ""));
	assert_ptr_equal(exchange.key, &key[0]);
	assert_true(present("first-key,first-key", ""));
	assert_false(present("wrong, first-key", ""));
	assert_false(present(", first-key", ""));
	assert_false(present(",", ""));
}

/* A request without a key has the open one, if there is one; a wrong key does not. */
static void
test_open(void **state)
{
	(void)state;
	key[1].is_open = true;
	assert_true(present("", ""));
	assert_ptr_equal(exchange.key, &key[1]);
	assert_true(present("first-key", ""));
	assert_ptr_equal(exchange.key, &key[0]);
	assert_false(present("wrong", ""));
	assert_false(present(",", ""));
	key[1].is_open = false;
	assert_false(present("", ""));
}

static void
test_expired(void **state)
{
	(void)state;
	assert_false(present("third-key", ""));
	assert_string_equal(exchange.key_name, "third");
	assert_non_null(strstr(sent, "this key has expired"));
	assert_non_null(strstr(sent, "X-Accel-Redirect: /.unauthorized?expired\r\n"));
	assert_false(present("third-ke", ""));
	assert_null(strstr(sent, "expired"));
}

static void
test_operator(void **state)
{
	(void)state;
	assert_true(present("first-key", ""));
	assert_false(auth_is_operator(&exchange));
	assert_true(present("second-key", ""));
	assert_true(auth_is_operator(&exchange));
	present("wrong", "");
	assert_false(auth_is_operator(&exchange));
}

/* The part of the request that was read is wiped, and the body that follows it is not. */
static void
test_buffer(void **state)
{
	static unsigned char bytes[BUFFER_BYTES + 2];

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	buffer.start = bytes;
	buffer.size = BUFFER_BYTES;
	in.data = &buffer;
	in.rdNext = bytes + 1000;
	assert_true(present("first-key", ""));
	assert_true(is_wiped((char *)bytes, 1000));
	assert_int_equal(bytes[1000], 'x');
	/* A libfcgi that is built otherwise. */
	memset(bytes, 'x', sizeof bytes);
	buffer.size = 4096;
	assert_true(present("first-key", ""));
	assert_int_equal(bytes[0], 'x');
	buffer.size = BUFFER_BYTES;
	in.rdNext = bytes + BUFFER_BYTES + 1;
	assert_true(present("first-key", ""));
	assert_int_equal(bytes[0], 'x');
	in.data = NULL;
}

static int
check(const struct key_config *with, const char *more, struct run_request *request, struct http_error *error)
{
	char body[256];
	int result;

	snprintf(body, sizeof body, "{\"language\":\"py\",\"code\":\"x\"%s}", more);
	assert_int_equal(request_parse(&config, body, strlen(body), request, error), 0);
	result = auth_check_request(&config, with, request, error);
	request_free(request);
	return result;
}

static void
test_limits_of_a_key(void **state)
{
	struct run_request request;
	struct http_error error;

	(void)state;
	key[0].maximum.wall_ms = 5000;
	key[0].maximum.memory_bytes = 1 << 29;
	assert_int_equal(check(&key[0], "", &request, &error), 0);
	assert_int_equal(request.limits.wall_ms, 5000); /* the default is 15000 */
	assert_int_equal(request.limits.cpu_ms, 10000);
	assert_int_equal(request.limits.memory_bytes, 1 << 28);
	assert_int_equal(check(&key[0], ",\"limits\":{\"wall_ms\":5000}", &request, &error), 0);
	assert_int_equal(check(&key[0], ",\"limits\":{\"wall_ms\":null}", &request, &error), 0);
	assert_int_equal(check(&key[0], ",\"limits\":{\"wall_ms\":5001}", &request, &error), -1);
	assert_string_equal(error.text, "limits.wall_ms: must be an integer from 1 to 5000 for this key");
	assert_int_equal(error.status, 400);
	/* The default, asked for, is more than this key may have. */
	assert_int_equal(check(&key[0], ",\"limits\":{\"wall_ms\":15000}", &request, &error), -1);
	assert_int_equal(check(&key[1], ",\"limits\":{\"wall_ms\":15001}", &request, &error), 0);
	memset(&key[0].maximum, 0xff, sizeof key[0].maximum);
}

static void
test_languages_of_a_key(void **state)
{
	struct run_request request;
	struct http_error error;

	(void)state;
	key[0].all_languages = false;
	key[0].language[0] = true;
	assert_int_equal(check(&key[0], "", &request, &error), -1);
	assert_string_equal(error.text, "language: this key may not use python3, only: c");
	key[0].language[1] = true;
	assert_int_equal(check(&key[0], "", &request, &error), 0);
	key[0].all_languages = true;
}

static void
test_network_of_a_key(void **state)
{
	static const char wanted[] = ",\"enable_network\":true";
	struct run_request request;
	struct http_error error;

	(void)state;
	config.network = NETWORK_PROXY;
	key[0].proxy = 1;
	assert_int_equal(check(&key[0], wanted, &request, &error), 0);
	assert_true(request.network && request.proxy == 1);
	assert_int_equal(check(&key[1], wanted, &request, &error), 0);
	assert_true(request.network && request.proxy == 0);
	key[0].no_network = true;
	assert_int_equal(check(&key[0], wanted, &request, &error), 0);
	assert_false(request.network);
	config.network_strict = true;
	assert_int_equal(check(&key[0], "", &request, &error), 0);
	assert_int_equal(check(&key[0], wanted, &request, &error), -1);
	assert_int_equal(error.status, 200);
	assert_int_equal(error.code, -400);
	config.network_strict = false;
	config.network = NETWORK_NONE;
	key[0].no_network = false;
}

static void
test_loopback_of_a_key(void **state)
{
	static const char wanted[] = ",\"network\":\"loopback\"";
	struct run_request request;
	struct http_error error;

	(void)state;
	config.loopback = true;
	key[0].loopback = true;
	assert_int_equal(check(&key[0], wanted, &request, &error), 0);
	assert_true(request.loopback && request.may_loopback);
	key[0].loopback = false;
	assert_int_equal(check(&key[0], wanted, &request, &error), -1);
	assert_int_equal(error.status, 400);
	assert_int_equal(check(&key[0], "", &request, &error), 0);
	assert_false(request.loopback || request.may_loopback);
	config.loopback = false;
}

static void
test_share(void **state)
{
	struct run_share share;

	(void)state;
	key[0].share = (struct key_limits){ .weight = 1, .running = 2, .waiting = 3, .rate = 4, .burst = 5 };
	auth_share(&key[0], &share);
	assert_string_equal(share.name, "first");
	assert_true(share.weight == 1 && share.running == 2 && share.waiting == 3 && share.rate == 4 && share.burst == 5);
}

static int
make_keys(void **state)
{
	static char names[3][8] = { "first", "second", "third" };

	(void)state;
	for (size_t i = 0; i < keys.count; i++) {
		char text[32];
		SHA2_CTX context;

		snprintf(text, sizeof text, "%s-key", names[i]);
		SHA256Init(&context);
		SHA256Update(&context, (const uint8_t *)text, strlen(text));
		SHA256Final(key[i].digest, &context);
		key[i].name = names[i];
		key[i].all_languages = true;
		memset(&key[i].maximum, 0xff, sizeof key[i].maximum);
	}
	key[1].is_operator = true;
	key[1].expires_s = UINT32_MAX;
	key[2].expires_s = 1;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_operator),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_limits_of_a_key),
		cmocka_unit_test(test_languages_of_a_key),
		cmocka_unit_test(test_network_of_a_key),
		cmocka_unit_test(test_loopback_of_a_key),
		cmocka_unit_test(test_share),
	};

	return cmocka_run_group_tests_name("auth", tests, make_keys, NULL);
}
