/*
 * request_body.h - bodies that a request accepts or refuses, for the unit tests of requests. The
 * tests include cmocka.h before it.
 */
#ifndef CELLBLOCK_REQUEST_BODY_H
#define CELLBLOCK_REQUEST_BODY_H

#include <string.h>

#include "request.h"
#include "request_config.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MINIMAL "\"language\":\"python3\",\"code\":\"x\""

static struct run_request request;
static struct http_error error;

static int
parse(const char *body)
{
	memset(&error, 0, sizeof error);
	return request_parse(&config, body, strlen(body), &request, &error);
}

/* Parse a valid body. The caller calls request_free. */
static void
accept_body(const char *body)
{
	if (parse(body) != 0)
		fail_msg("%s: %s", body, error.text);
}

static void
refuse_body(const char *body, const char *text)
{
	if (parse(body) == 0)
		fail_msg("%s: was accepted", body);
	if (strncmp(error.text, text, strlen(text)) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", body, error.text, text);
	assert_int_equal(error.status, 400);
	assert_int_equal(error.code, -400);
}

#endif
