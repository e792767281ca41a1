/*
 * exchange_test.c - errors of the service: each has a line in the log, and the client gets the id
 * to look it up by.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "exchange.h"
#include "log.h"

static uint64_t now_us = 1000000;
static char logged[1024];
static int lines;
static char sent[8192];

/* These take the place of common/clock.c, common/log.c and libfcgi. */
uint64_t
clock_us(void)
{
	return now_us;
}

void
log_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(logged, sizeof logged, format, args);
	va_end(args);
	lines++;
}

char *
FCGX_GetParam(const char *name, FCGX_ParamArray envp)
{
	(void)envp;
	return strcmp(name, "REQUEST_METHOD") == 0 ? (char *)"POST" : NULL;
}

int
FCGX_PutStr(const char *bytes, int size, FCGX_Stream *stream)
{
	(void)stream;
	assert_true(strlen(sent) + (size_t)size < sizeof sent);
	strncat(sent, bytes, (size_t)size);
	return size;
}

static void
answer(int status, const char *outcome, const char *cause)
{
	FCGX_Request fcgi = { 0 };
	struct exchange exchange = { .fcgi = &fcgi, .request_id = "r17", .outcome = outcome };
	struct http_error error;

	sent[0] = logged[0] = '\0';
	lines = 0;
	http_error_set(&error, status, "text of the error");
	exchange_fail(&exchange, &error, cause);
	assert_int_equal(exchange.reply.status, status);
}

static void
test_a_fault_is_logged_and_not_told(void **state)
{
	(void)state;
	now_us += 2000000;
	answer(500, "fault", "make a pipe: Too many open files");
	assert_string_equal(logged, "request=r17: text of the error: make a pipe: Too many open files");
	assert_null(strstr(sent, "pipe"));
	assert_null(strstr(sent, "text of the error"));
	assert_non_null(strstr(sent, "request r17"));
	answer(500, "-", NULL);
	assert_string_equal(logged, "request=r17: text of the error");
}

static void
test_unavailable_is_logged_and_told(void **state)
{
	(void)state;
	now_us += 2000000;
	answer(503, "no_runner", "connect: Connection refused");
	assert_string_equal(logged, "request=r17: text of the error: connect: Connection refused");
	assert_non_null(strstr(sent, "text of the error"));
	assert_null(strstr(sent, "refused"));
	assert_non_null(strstr(sent, "Retry-After: 1\r\n"));
}

static void
test_a_clients_error_is_not_logged(void **state)
{
	(void)state;
	now_us += 2000000;
	answer(400, "-", NULL);
	assert_int_equal(lines, 0);
	assert_non_null(strstr(sent, "text of the error"));
}

static void
test_a_flood_is_one_line_a_second_of_each_kind(void **state)
{
	(void)state;
	now_us += 2000000;
	answer(503, "busy", NULL);
	assert_int_equal(lines, 1);
	for (int i = 0; i < 500; i++) {
		answer(503, "busy", NULL);
		assert_int_equal(lines, 0);
	}
	answer(500, "busy", NULL);
	assert_int_equal(lines, 1);
	answer(503, "unavailable", NULL);
	assert_int_equal(lines, 1);
	now_us += 1000000;
	answer(503, "busy", NULL);
	assert_string_equal(logged, "request=r17: text of the error (500 more like this were not logged)");
}

static void
test_parameters(void **state)
{
	FCGX_Request fcgi = { 0 };
	struct exchange exchange = { .fcgi = &fcgi };

	(void)state;
	assert_string_equal(exchange_parameter(&exchange, "REQUEST_METHOD"), "POST");
	assert_string_equal(exchange_parameter(&exchange, "CELLBLOCK_PROXY"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fault_is_logged_and_not_told),
		cmocka_unit_test(test_unavailable_is_logged_and_told),
		cmocka_unit_test(test_a_clients_error_is_not_logged),
		cmocka_unit_test(test_a_flood_is_one_line_a_second_of_each_kind),
		cmocka_unit_test(test_parameters),
	};

	return cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
}
