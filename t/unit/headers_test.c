/*
 * headers_test.c - the headers that a client sends and gets back: traceparent, and those of CORS.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "clock.h"
#include "cors.h"
#include "traceparent.h"

static char sent[4096];

/* These take the place of libfcgi and of common/clock.c. */
int
FCGX_PutStr(const char *bytes, int size, FCGX_Stream *stream)
{
	(void)stream;
	assert_true(strlen(sent) + (size_t)size < sizeof sent);
	strncat(sent, bytes, (size_t)size);
	return size;
}

uint64_t
clock_us(void)
{
	return 0;
}

static void
test_traceparent(void **state)
{
	static const struct {
		const char *text;
		bool is_good;
	} cases[] = {
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true },
		{ "", false },
		{ "00-00000000000000000000000000000000-b7ad6b7169203331-01", false },
		{ "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false },
		{ "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false },
		{ "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", false },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false },
		{ "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01", false },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\r\n01", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (traceparent_is_good(cases[i].text) != cases[i].is_good)
			fail_msg("%s", cases[i].text);
	}
}

static void
answer(size_t count, const char *origin, bool is_allowed)
{
	static char *origins[] = { (char *)(uintptr_t) "https://app.example", (char *)(uintptr_t) "http://localhost:3000" };
	struct config config = { .cors = { origins, count } };
	struct reply reply = { 0 };

	sent[0] = '\0';
	assert_int_equal(cors_add_headers(&config, origin, &reply), is_allowed);
	if (is_allowed)
		cors_answer_preflight(&reply, "POST");
	else
		reply_send(&reply, 405, NULL, "{}", 2);
}

static void
test_cors(void **state)
{
	char *any[] = { (char *)(uintptr_t) "*" };
	struct config config = { .cors = { any, 1 } };
	struct reply reply = { 0 };

	(void)state;
	/* Without a configured origin there is no trace of it. */
	answer(0, "https://app.example", false);
	assert_null(strstr(sent, "Access-Control"));
	assert_null(strstr(sent, "Vary"));

	answer(2, "http://localhost:3000", true);
	assert_memory_equal(sent, "Status: 204 No Content\r\n", 24);
	assert_non_null(strstr(sent, "\r\nVary: Origin\r\n"));
	assert_non_null(strstr(sent, "\r\nAccess-Control-Allow-Origin: http://localhost:3000\r\n"));
	assert_non_null(strstr(sent, "\r\nAccess-Control-Allow-Methods: POST\r\n"));
	assert_non_null(strstr(sent, "\r\nAccess-Control-Allow-Headers: Content-Type, X-Api-Key, Authorization"));
	assert_non_null(strstr(sent, "\r\nAccess-Control-Max-Age: 86400\r\n"));

	for (int i = 0; i < 4; i++) {
		static const char *const others[] = { "", "https://app.example.evil", "https://App.example", "null" };

		answer(2, others[i], false);
		assert_null(strstr(sent, "Access-Control"));
		assert_non_null(strstr(sent, "\r\nVary: Origin\r\n"));
	}

	/* "*" is the answer to any page, and nothing of the page is in it. */
	sent[0] = '\0';
	assert_true(cors_add_headers(&config, "https://evil\r\nX: y", &reply));
	reply_send(&reply, 200, NULL, "{}", 2);
	assert_non_null(strstr(sent, "\r\nAccess-Control-Allow-Origin: *\r\n"));
	assert_null(strstr(sent, "evil"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traceparent),
		cmocka_unit_test(test_cors),
	};

	return cmocka_run_group_tests_name("headers", tests, NULL, NULL);
}
