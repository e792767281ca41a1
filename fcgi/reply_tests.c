/*
 * reply_tests.c - see reply_tests.h. Runs in the worker.
 *
 * The same code counts and sends, so the announced length is that of what is sent.
 */
#define _GNU_SOURCE
#include "reply_tests.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json_text.h"

#define PIECE_SIZE 512

/* Where the text goes. */
struct sink {
	struct reply *reply; /* NULL: it is only counted */
	size_t length;
};

static void
put(struct sink *sink, const char *text)
{
	size_t size = strlen(text);

	sink->length += size;
	if (sink->reply != NULL)
		reply_put(sink->reply, text, size);
}

static void __attribute__((format(printf, 2, 3))) put_format(struct sink *sink, const char *format, ...)
{
	char piece[PIECE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(piece, sizeof piece, format, args);
	va_end(args);
	put(sink, piece);
}

/* A JSON string; null if there is none. */
static void
put_string(struct sink *sink, const char *bytes, size_t size)
{
	if (bytes == NULL) {
		put(sink, "null");
		return;
	}
	put(sink, "\"");
	sink->length += json_text_length(bytes, size);
	if (sink->reply != NULL)
		reply_put_escaped(sink->reply, bytes, size);
	put(sink, "\"");
}

static void
put_id(struct sink *sink, const struct tests *tests, size_t number)
{
	const struct test_case *test = &tests->request->tests->test[number];

	if (test->id.bytes == NULL)
		put_format(sink, "%zu", number);
	else if (test->is_id_text)
		put_string(sink, test->id.bytes, test->id.size);
	else
		put(sink, test->id.bytes);
}

static void
put_ms(struct sink *sink, const char *name, uint64_t us)
{
	put_format(sink, "\"%s\":%" PRIu64 ".%03u", name, us / 1000, (unsigned)(us % 1000));
}

static void
put_usage(struct sink *sink, const struct test_outcome *outcome)
{
	const struct run_result *result = &outcome->result;
	char stall[REPLY_STALL_SIZE];

	put(sink, "{");
	put_ms(sink, "wall_ms", result->wall_us);
	put(sink, ",");
	put_ms(sink, "cpu_ms", result->cpu_us);
	put_format(sink, ",\"memory_peak_bytes\":%" PRIu64 ",\"stdout_bytes\":%zu,\"stderr_bytes\":%zu,",
	    result->memory_peak_bytes, outcome->out.written, outcome->err.written);
	put_ms(sink, "queue_ms", result->queue_us);
	put(sink, ",");
	put_ms(sink, "spawn_ms", result->spawn_us);
	reply_stall(result, stall);
	put(sink, stall);
	put(sink, "}");
}

/* Strings that name, or null. */
static void
put_name(struct sink *sink, const char *name)
{
	put_string(sink, name, name != NULL ? strlen(name) : 0);
}

static void
put_run(struct sink *sink, const struct test_outcome *outcome)
{
	char name[32];

	if (!outcome->has_run) {
		put(sink, "\"status\":null,\"exit_code\":null,\"signal\":null,\"usage\":null");
		return;
	}
	put_format(sink,
	    "\"status\":\"%s\",\"exit_code\":%d,\"signal\":", proto_verdict_name((enum verdict)outcome->result.verdict),
	    outcome->result.exit_code);
	reply_name_signal(outcome->result.signal, name, sizeof name);
	put(sink, name);
	put(sink, ",\"usage\":");
	put_usage(sink, outcome);
}

static void
put_kept(struct sink *sink, const char *name, const struct kept *kept)
{
	put_format(sink, ",\"%s\":", name);
	put_string(sink, kept->bytes != NULL ? kept->bytes : "", kept->size);
}

static void
put_difference(struct sink *sink, const struct test_outcome *outcome)
{
	if (!outcome->difference.is_known) {
		put(sink, ",\"difference\":null");
		return;
	}
	put_format(sink, ",\"difference\":{\"line\":%zu,\"column\":%zu,\"expected\":", outcome->difference.line,
	    outcome->difference.column);
	put_string(sink, outcome->difference.expected, outcome->difference.expected_size);
	put(sink, ",\"got\":");
	put_string(sink, outcome->difference.got, outcome->difference.got_size);
	put(sink, "}");
}

static void
put_checker(struct sink *sink, const char *name, const struct test_outcome *outcome)
{
	if (!outcome->has_checker)
		return;
	put_format(sink, ",\"%s\":{\"status\":\"%s\",\"exit_code\":%d", name,
	    proto_verdict_name((enum verdict)outcome->checker.verdict), outcome->checker.exit_code);
	put_kept(sink, "message", &outcome->checker_text);
	put(sink, "}");
}

static void
put_test(struct sink *sink, const struct tests *tests, size_t number)
{
	const struct test_outcome *outcome = &tests->outcome[number];
	bool is_cut = outcome->out.size < outcome->out.written || outcome->err.size < outcome->err.written;

	put(sink, "{\"id\":");
	put_id(sink, tests, number);
	put_format(sink, ",\"verdict\":\"%s\",\"fault\":", test_verdict_name(outcome->verdict));
	put_name(sink, test_fault_name(outcome->fault));
	put(sink, ",");
	put_run(sink, outcome);
	put_kept(sink, "stdout", &outcome->out);
	put_kept(sink, "stderr", &outcome->err);
	put_format(sink, ",\"truncated\":%s", is_cut ? "true" : "false");
	put_difference(sink, outcome);
	put_checker(sink, tests->request->tests->interactor != NULL ? "interactor" : "checker", outcome);
	put(sink, ",\"reason\":");
	put_name(sink, outcome->reason[0] != '\0' ? outcome->reason : NULL);
	put(sink, "}");
}

/* The test with the most of something: its id and the number. */
static void
put_most(struct sink *sink, const struct tests *tests, const char *name, size_t number, bool is_time)
{
	put_format(sink, ",\"%s\":", name);
	if (number == tests->count) {
		put(sink, "null");
		return;
	}
	put(sink, "{\"id\":");
	put_id(sink, tests, number);
	put(sink, ",");
	if (is_time)
		put_ms(sink, "cpu_ms", tests->outcome[number].result.cpu_us);
	else
		put_format(sink, "\"memory_peak_bytes\":%" PRIu64, tests->outcome[number].result.memory_peak_bytes);
	put(sink, "}");
}

static void
put_summary(struct sink *sink, const struct tests *tests)
{
	size_t counts[TEST_VERDICTS] = { 0 }, slowest = tests->count, largest = tests->count, first = tests->count;
	double score = 0, most = 0;

	for (size_t i = 0; i < tests->count; i++) {
		const struct test_outcome *outcome = &tests->outcome[i];
		double weight = tests->request->tests->test[i].weight;

		counts[outcome->verdict]++;
		most += weight;
		score += outcome->verdict == TEST_ACCEPTED ? weight : 0;
		if (first == tests->count && outcome->verdict != TEST_ACCEPTED)
			first = i;
		if (!outcome->has_run)
			continue;
		if (slowest == tests->count || outcome->result.cpu_us > tests->outcome[slowest].result.cpu_us)
			slowest = i;
		if (largest == tests->count ||
		    outcome->result.memory_peak_bytes > tests->outcome[largest].result.memory_peak_bytes)
			largest = i;
	}
	put_format(sink, "{\"tests\":%zu", tests->count);
	for (enum test_verdict v = 0; v < TEST_VERDICTS; v++)
		put_format(sink, ",\"%s\":%zu", test_verdict_name(v), counts[v]);
	put_format(sink, ",\"score\":%.15g,\"score_most\":%.15g,\"first_failure\":", score, most);
	if (first == tests->count)
		put(sink, "null");
	else
		put_id(sink, tests, first);
	put_most(sink, tests, "slowest", slowest, true);
	put_most(sink, tests, "most_memory", largest, false);
	put(sink, ",");
	put_ms(sink, "wall_ms", tests->ended_us - tests->began_us);
	put(sink, "}");
}

static void
put_all(struct sink *sink, const struct tests *tests)
{
	put(sink, ",\"tests\":[");
	for (size_t i = 0; i < tests->count; i++) {
		put(sink, i > 0 ? "," : "");
		put_test(sink, tests, i);
	}
	put(sink, "],\"summary\":");
	put_summary(sink, tests);
}

size_t
reply_tests_length(const struct tests *tests)
{
	struct sink sink = { .reply = NULL };

	if (tests != NULL)
		put_all(&sink, tests);
	return sink.length;
}

void
reply_tests_put(struct reply *reply, const struct tests *tests)
{
	struct sink sink = { .reply = reply };

	if (tests == NULL)
		return;
	if (reply->form == EVENT_NONE) {
		put_all(&sink, tests);
	} else {
		put(&sink, ",\"summary\":");
		put_summary(&sink, tests);
	}
}

void
reply_tests_put_one(struct reply *reply, const struct tests *tests, size_t number)
{
	struct sink sink = { .reply = reply };

	put_test(&sink, tests, number);
}
