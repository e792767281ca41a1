/*
 * events_test.c - the events of a run: put together, they have the bytes of the plain reply,
 * however the output came and wherever it is cut; and when each is sent.
 *
 * libfcgi is not linked: this file collects the output.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "events.h"
#include "json_text.h"
#include "log.h"

#define MOST_BYTES 6000
#define ROUNDS 400

static char *sent;
static size_t sent_size, sent_room;
static unsigned flushes;
static bool is_gone;
static uint64_t now_us;

/* These take the place of libfcgi, common/clock.c and common/log.c. */
int
FCGX_PutStr(const char *bytes, int size, FCGX_Stream *stream)
{
	(void)stream;
	if (is_gone)
		return -1;
	if (sent_size + (size_t)size >= sent_room) {
		sent_room = 2 * (sent_size + (size_t)size);
		sent = realloc(sent, sent_room);
		assert_non_null(sent);
	}
	memcpy(sent + sent_size, bytes, (size_t)size);
	sent_size += (size_t)size;
	sent[sent_size] = '\0';
	return size;
}

int
FCGX_FFlush(FCGX_Stream *stream)
{
	(void)stream;
	flushes++;
	return is_gone ? -1 : 0;
}

char *
FCGX_GetParam(const char *name, FCGX_ParamArray envp)
{
	(void)name;
	(void)envp;
	return NULL;
}

uint64_t
clock_us(void)
{
	return now_us;
}

void
log_warn(const char *format, ...)
{
	(void)format;
}

static const struct config config = { .heartbeat_ms = 1000 };
static const struct key_config key;
static struct exchange exchange;
static struct events events;
static struct run run;
static struct run_limits limits;

static void
begin(uint64_t output_bytes)
{
	static char out[MOST_BYTES + 1], err[MOST_BYTES + 1], text[64];

	free(sent);
	sent = NULL;
	sent_size = sent_room = 0;
	flushes = 0;
	is_gone = false;
	now_us += 10000000;
	exchange = (struct exchange){ .key = &key, .reply = { .form = EVENT_NDJSON, .begin_us = now_us } };
	run = (struct run){ .out.bytes = out, .err.bytes = err, .compilation.text.bytes = text };
	limits = (struct run_limits){ .output_bytes = output_bytes };
	events_init(&events, &exchange, &config, &limits);
}

static void
accept_run(void)
{
	const struct proto_progress queued = { .progress = PROGRESS_QUEUED };
	const struct proto_account account = { .rate_left = 1 };

	events.follower.progress(&events.follower, &queued, &account);
}

static void
start_run(void)
{
	const struct proto_progress started = { .progress = PROGRESS_STARTED, .queue_us = 1500, .spawn_us = 60 };
	const struct proto_account account = { .rate_left = 1 };

	events.follower.progress(&events.follower, &started, &account);
}

static int
due(void)
{
	return events.follower.due_ms(&events.follower, &run);
}

static void
turn(void)
{
	events.follower.send(&events.follower, &run);
}

/*
 * All events so far: their kinds in `kinds`, those of output only if `kind` is NULL; and the texts
 * of those of `kind`. Returns the size of the texts.
 */
static size_t
read_events(const char *kind, char *text, char *kinds)
{
	char *line = strstr(sent, "\r\n\r\n");
	size_t size = 0;

	kinds[0] = '\0';
	assert_non_null(line);
	assert_memory_equal(sent, "Status: 200 OK\r\nContent-Type: application/x-ndjson; charset=utf-8\r\n", 62);
	for (line += 4; *line != '\0';) {
		char *end = strchr(line, '\n');
		struct json_object *event, *data, *name;

		assert_non_null(end);
		*end = '\0';
		event = json_tokener_parse(line);
		assert_non_null(event);
		assert_true(json_object_object_get_ex(event, "event", &name));
		assert_true(json_object_object_get_ex(event, "data", &data));
		if (kind != NULL && strcmp(json_object_get_string(name), kind) == 0) {
			size_t length = (size_t)json_object_get_string_len(data);

			assert_true(length > 0);
			memcpy(text + size, json_object_get_string(data), length);
			size += length;
		} else if (kind == NULL || strncmp(json_object_get_string(name), "std", 3) != 0) {
			strcat(strcat(kinds, json_object_get_string(name)), " ");
		}
		*end = '\n';
		line = end + 1;
		json_object_put(event);
	}
	return size;
}

/* As run_output.c does at the end. */
static void
settle(struct output *output, uint64_t limit)
{
	if (output->size > limit / (JSON_TEXT_MAX / RUN_ESCAPES)) {
		size_t fit = json_text_fit(output->bytes, output->size, limit * RUN_ESCAPES);

		output->truncated |= fit < output->size;
		output->size = fit;
	}
	if (output->truncated)
		output->size = json_text_trim(output->bytes, output->size);
}

static void
fill(char *bytes, size_t size, int kind)
{
	static const char *const pieces[] = { "a", "\n", "\"", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff", "\xe2\x82",
		"\xf0\x9f", "\xed\xa0\x80", "\x80", "\1", "text that is longer than eight bytes" };

	for (size_t at = 0; at < size;) {
		/* 0: all kinds; 1: control characters; 2: any bytes; 3: characters */
		const char *piece = kind == 1 ? "\1" : pieces[kind == 3 ? rand() % 6 : rand() % 13];
		size_t length = strlen(piece);

		if (kind == 2) {
			bytes[at++] = (char)rand();
			continue;
		}
		length = length < size - at ? length : size - at;
		memcpy(bytes + at, piece, length);
		at += length;
	}
}

/* More of a stream arrives, and what is above the limit is cut as run_output.c does. */
static void
arrive(struct output *output, size_t total, uint64_t limit)
{
	size_t more = (size_t)rand() % (1 + (size_t)rand() % 700);

	if (output->truncated)
		return;
	output->size = output->size + more < total ? output->size + more : total;
	if (output->size > limit) {
		output->size = limit;
		output->truncated = true;
	}
}

static void
check(const char *kind, const struct output *output)
{
	static char got[MOST_BYTES * 3], wanted[MOST_BYTES * 3], kinds[4096];
	size_t size = read_events(kind, got, kinds), length = json_text_repair(output->bytes, output->size, wanted);

	assert_int_equal(size, length);
	assert_memory_equal(got, wanted, length);
}

static void
test_the_bytes_of_the_plain_reply(void **state)
{
	(void)state;
	srand(15);
	for (int round = 0; round < ROUNDS; round++) {
		size_t total = (size_t)rand() % MOST_BYTES;
		uint64_t limit = 1 + (uint64_t)rand() % MOST_BYTES;

		begin(limit);
		fill(run.out.bytes, total, round % 4);
		fill(run.err.bytes, total, (round + 1) % 4);
		accept_run();
		start_run();
		while (run.out.size < total && !run.out.truncated) {
			arrive(&run.out, total, limit);
			arrive(&run.err, total, limit);
			now_us += (uint64_t)rand() % 9000;
			if (due() == 0)
				turn();
		}
		settle(&run.out, limit);
		settle(&run.err, limit);
		assert_true(events.out.sent <= run.out.size);
		events_finish(&events, &run);
		check("stdout", &run.out);
		check("stderr", &run.err);
	}
}

static void
test_when_it_is_sent(void **state)
{
	char text[1024], kinds[256];
	char *big;

	(void)state;
	begin(1 << 20);
	assert_int_equal(due(), INT_MAX);
	accept_run();
	assert_int_equal(due(), 2); /* a short run is one write */
	run.out.size = 3;
	memcpy(run.out.bytes, "x\xe2\x82\xac", 4);
	now_us += 1999;
	assert_int_equal(due(), 1);
	now_us += 1;
	assert_int_equal(due(), 0);
	turn();
	read_events(NULL, text, kinds);
	assert_string_equal(kinds, "queued "); /* it has output, and the client must hear first that it has started */
	assert_int_equal(flushes, 1);
	assert_int_equal(due(), 1000);
	start_run();
	assert_int_equal(due(), 5);
	now_us += 5000;
	assert_int_equal(due(), 0);
	turn();
	assert_int_equal(read_events("stdout", text, kinds), 1);
	assert_int_equal(due(), 1000); /* half a character is nothing to be sent */
	run.out.size = 4;
	assert_int_equal(due(), 5);
	now_us += 900000;
	assert_int_equal(due(), 0);
	turn();
	now_us += 999999;
	assert_int_equal(due(), 1);
	now_us += 1;
	assert_int_equal(due(), 0);
	turn();
	read_events(NULL, text, kinds);
	assert_string_equal(kinds, "queued started stdout stdout heartbeat ");

	/* Much output does not wait, and only a part of it is sent at a time. */
	big = malloc(200000);
	assert_non_null(big);
	memset(big, 'x', 200000);
	run.out.bytes = big;
	run.out.size = 200000;
	assert_int_equal(due(), 0);
	sent_size = 0;
	turn();
	assert_in_range(sent_size, 20000, 60000);
	assert_int_equal(due(), 0);
	free(big);
}

static void
test_a_client_that_is_gone(void **state)
{
	(void)state;
	begin(1000);
	accept_run();
	start_run();
	now_us += 10000;
	run.out.size = 5;
	is_gone = true;
	turn();
	assert_true(exchange.reply.is_cut);
	assert_int_equal(due(), INT_MAX);
	turn();
	events_finish(&events, &run);
	assert_int_equal(sent_size, 0);
}

static void
test_a_compiled_program(void **state)
{
	char text[1024], kinds[256];

	(void)state;
	/* compiled now */
	begin(1000);
	accept_run();
	strcpy(run.compilation.text.bytes, "a \"warning\"");
	run.compilation.text.size = strlen(run.compilation.text.bytes);
	events.follower.compiled(&events.follower, &run);
	read_events(NULL, text, kinds);
	assert_string_equal(kinds, "queued compiled ");
	assert_non_null(
	    strstr(sent, "\"data\":{\"cached\":false,\"wall_ms\":0.000,\"cpu_ms\":0.000,\"output\":\"a \\\"warning\\\"\"}}\n"));
	accept_run(); /* of the run itself */
	start_run();
	events.follower.compiled(&events.follower, &run);
	events_finish(&events, &run);
	read_events(NULL, text, kinds);
	assert_string_equal(kinds, "queued compiled started ");

	/* found: nothing is sent before the runner has accepted it, because it may be refused */
	begin(1000);
	run.compilation.was_cached = true;
	events.follower.compiled(&events.follower, &run);
	assert_int_equal(sent_size, 0);
	accept_run();
	start_run();
	now_us += 2000;
	turn();
	read_events(NULL, text, kinds);
	assert_string_equal(kinds, "queued compiled started ");
}

static void
test_errors(void **state)
{
	struct http_error error;
	char text[1024], kinds[256];

	(void)state;
	/* before the first event */
	begin(1000);
	http_error_set(&error, 503, "busy: \"no\" cell");
	events_break_off(&events, &run);
	exchange_fail(&exchange, &error, NULL);
	assert_memory_equal(sent, "Status: 503 Service Unavailable\r\n", 33);
	assert_non_null(strstr(sent, "Retry-After: 1\r\n"));
	/* after it */
	begin(1000);
	exchange.retry_ms = 2500;
	accept_run();
	now_us += 2000;
	turn();
	events_break_off(&events, &run);
	exchange.outcome = "busy";
	exchange_fail(&exchange, &error, NULL);
	read_events(NULL, text, kinds);
	assert_string_equal(kinds, "queued error ");
	assert_non_null(
	    strstr(sent, "\"data\":{\"status\":503,\"code\":-503,\"retry_after\":3,\"message\":\"busy: \\\"no\\\" cell\"}}\n"));
	/* with output that was not sent yet */
	begin(1000);
	accept_run();
	start_run();
	now_us += 2000;
	turn();
	run.out.size = 3;
	memcpy(run.out.bytes, "ab\xe2", 3);
	events_break_off(&events, &run);
	assert_int_equal(read_events("stdout", text, kinds), 2);
}

static void
test_forms(void **state)
{
	static const char json[] = "{\"id\":\"t1\"}";

	(void)state;
	assert_int_equal(event_form_of("sse"), EVENT_SSE);
	assert_int_equal(event_form_of("ndjson"), EVENT_NDJSON);
	assert_int_equal(event_form_of(""), EVENT_NONE);
	assert_int_equal(event_form_of("SSE"), EVENT_NONE);
	begin(1000);
	exchange.reply.form = EVENT_SSE;
	accept_run();
	now_us += 2000;
	turn();
	now_us += 1500;
	events_send(&events, "test", json, strlen(json));
	assert_non_null(strstr(sent, "\r\nContent-Type: text/event-stream; charset=utf-8\r\n"));
	assert_string_equal(strstr(sent, "\r\n\r\n") + 4,
	    "event: queued\ndata: {\"event\":\"queued\",\"ms\":2.000,\"data\":{}}\n\n"
	    "event: test\ndata: {\"event\":\"test\",\"ms\":3.500,\"data\":{\"id\":\"t1\"}}\n\n");
	assert_int_equal(exchange.reply.bytes, strlen(strstr(sent, "\r\n\r\n") + 4));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_bytes_of_the_plain_reply),
		cmocka_unit_test(test_when_it_is_sent),
		cmocka_unit_test(test_a_client_that_is_gone),
		cmocka_unit_test(test_a_compiled_program),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_forms),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
