/*
 * events.c - see events.h. Runs in the worker.
 *
 * The events of a run, put together, have the very bytes of the plain reply. A piece of output ends
 * with a whole character, and its end waits for the next piece. A stream that may have to be cut
 * for its escapes is not sent beyond the point where that begins: run_output.c decides at the end.
 */
#define _GNU_SOURCE
#include "events.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "event.h"
#include "json_text.h"
#include "reply_files.h"
#include "reply_tests.h"
#include "tests.h"

#define FIRST_US 2000      /* a run that ends within this time is one write(2) for all of its events */
#define GATHER_US 5000     /* output within this time is one event, so that many small writes are few events */
#define PROMPT_BYTES 16384 /* as much is sent at once */
#define PIECE_BYTES 16384  /* of JSON, in one event */
#define TURN_BYTES 24576   /* with two more pieces it is less than poll(2) announces */
#define NO_TIME_MS INT_MAX /* nothing is to be sent before something happens */

static struct events *
events_of(struct run_follower *follower)
{
	return (struct events *)(void *)((char *)follower - offsetof(struct events, follower));
}

/* ---- the steps of a run ----------------------------------------------------------------------------------------- */

static void
tell_compiled(struct events *events, const struct run *run)
{
	const struct compilation *compilation = &run->compilation;
	struct reply *reply = &events->exchange->reply;
	char text[160];
	int n = snprintf(text, sizeof text,
	    "{\"cached\":%s,\"wall_ms\":%" PRIu64 ".%03u,\"cpu_ms\":%" PRIu64 ".%03u,\"output\":\"",
	    compilation->was_cached ? "true" : "false", compilation->result.wall_us / 1000,
	    (unsigned)(compilation->result.wall_us % 1000), compilation->result.cpu_us / 1000,
	    (unsigned)(compilation->result.cpu_us % 1000));

	event_begin(reply, "compiled");
	reply_put(reply, text, (size_t)n);
	reply_put_escaped(reply, compilation->text.bytes, compilation->text.size);
	reply_put(reply, "\"}", 2);
	event_end(reply);
	events->told_compiled = true;
}

static void
tell_started(struct events *events)
{
	const struct proto_progress *start = &events->start;
	char text[96];
	int n = snprintf(text, sizeof text, "{\"queue_ms\":%" PRIu64 ".%03u,\"spawn_ms\":%" PRIu64 ".%03u}",
	    start->queue_us / 1000, (unsigned)(start->queue_us % 1000), start->spawn_us / 1000,
	    (unsigned)(start->spawn_us % 1000));

	event_send(&events->exchange->reply, "started", text, (size_t)n);
	events->told_started = true;
}

static bool
has_step(const struct events *events)
{
	return !events->exchange->reply.has_begun || (events->has_compiled && !events->told_compiled) ||
	    (events->has_started && !events->told_started);
}

static void
tell_queued(struct events *events)
{
	struct exchange *exchange = events->exchange;

	if (exchange->reply.has_begun)
		return;
	exchange_add_rate(exchange, &events->account);
	event_head(&exchange->reply);
	event_send(&exchange->reply, "queued", "{}", 2);
}

/* Send the steps that have happened, in their order. */
static void
tell_steps(struct events *events, const struct run *run)
{
	tell_queued(events);
	if (events->has_compiled && !events->told_compiled)
		tell_compiled(events, run);
	if (events->has_started && !events->told_started)
		tell_started(events);
}

/* ---- output ----------------------------------------------------------------------------------------------------- */

/* The bytes that can be sent now: whole characters. */
static size_t
unsent(const struct events_stream *stream, const struct output *output)
{
	size_t whole;

	if (stream->is_full)
		return 0;
	whole = json_text_trim(output->bytes, output->size);
	return whole > stream->sent ? whole - stream->sent : 0;
}

/*
 * Send a piece of the `size` bytes that come next, of which JSON makes `most` bytes at most.
 * Returns whether one was sent.
 */
static bool
put_piece(struct events *events, const char *kind, struct events_stream *stream, const struct output *output, size_t size,
    uint64_t most)
{
	struct reply *reply = &events->exchange->reply;
	char text[PIECE_BYTES];
	size_t used, length;

	if (size == 0 || most < JSON_TEXT_MAX)
		return false;
	length = json_text_escape(output->bytes + stream->sent, size, &used, text,
	    most < sizeof text ? (size_t)most : sizeof text);
	stream->sent += used;
	stream->escaped += length;
	event_begin(reply, kind);
	reply_put(reply, "\"", 1);
	reply_put(reply, text, length);
	reply_put(reply, "\"", 1);
	event_end(reply);
	return true;
}

/*
 * The same while the run goes on. What JSON makes of the whole stream may be too long in the end:
 * json_text_fit then leaves less than JSON_TEXT_MAX bytes of the limit.
 */
static bool
put_now(struct events *events, const char *kind, struct events_stream *stream, const struct output *output)
{
	uint64_t limit = events->output_bytes * RUN_ESCAPES, taken = stream->escaped + JSON_TEXT_MAX;
	size_t size = unsent(stream, output);

	if (size > 0 && taken + JSON_TEXT_MAX > limit)
		stream->is_full = true;
	return !stream->is_full && put_piece(events, kind, stream, output, size, limit - taken);
}

/* All that is left, when the run has ended and its output is as it is to be. */
static void
put_rest(struct events *events, const char *kind, struct events_stream *stream, const struct output *output)
{
	while (
	    !events->exchange->reply.is_cut && put_piece(events, kind, stream, output, output->size - stream->sent, PIECE_BYTES))
		;
}

/* ---- while the run goes on -------------------------------------------------------------------------------------- */

static void
progress(struct run_follower *follower, const struct proto_progress *progress, const struct proto_account *account)
{
	struct events *events = events_of(follower);

	if (!events->is_accepted)
		events->last_us = clock_us() - GATHER_US + FIRST_US;
	events->is_accepted = true;
	events->account = *account;
	if (progress->progress != PROGRESS_STARTED)
		return;
	events->has_started = true;
	events->start = *progress;
}

/* No program runs yet, so there is time to wait for the client to take the compiler's output. */
static void
compiled(struct run_follower *follower, const struct run *run)
{
	struct events *events = events_of(follower);

	events->has_compiled = true;
	if (!events->is_accepted || events->told_compiled)
		return;
	reply_expect(&events->exchange->reply, run->compilation.text.size);
	tell_steps(events, run);
	FCGX_FFlush(events->exchange->reply.out);
	events->last_us = clock_us();
}

static int
due_ms(struct run_follower *follower, const struct run *run)
{
	const struct events *events = events_of(follower);
	uint64_t now_us = clock_us(), due_us;
	size_t bytes = 0;

	if (!events->is_accepted || events->exchange->reply.is_cut)
		return NO_TIME_MS;
	if (events->has_started)
		bytes = unsent(&events->out, &run->out) + unsent(&events->err, &run->err);
	if (bytes >= PROMPT_BYTES)
		return 0;
	if (bytes > 0 || has_step(events))
		due_us = events->last_us + GATHER_US;
	else if (events->heartbeat_us > 0)
		due_us = events->last_us + events->heartbeat_us;
	else
		return NO_TIME_MS;
	return due_us <= now_us ? 0 : (int)((due_us - now_us + 999) / 1000);
}

/* nginx has room for TURN_BYTES and more, so nothing here waits. */
static void
send_due(struct run_follower *follower, const struct run *run)
{
	struct events *events = events_of(follower);
	struct reply *reply = &events->exchange->reply;
	size_t before = reply->bytes;
	bool has_more = events->has_started;

	if (!events->is_accepted || reply->is_cut)
		return;
	reply->unwaited = 0;
	tell_steps(events, run);
	while (has_more && reply->bytes - before < TURN_BYTES) {
		has_more = put_now(events, "stdout", &events->out, &run->out);
		has_more |= put_now(events, "stderr", &events->err, &run->err);
	}
	if (reply->bytes == before)
		event_send(reply, "heartbeat", "{}", 2);
	if (FCGX_FFlush(reply->out) != 0)
		reply->is_cut = true;
	events->last_us = clock_us();
}

void
events_init(struct events *events, struct exchange *exchange, const struct config *config, const struct run_limits *limits)
{
	*events = (struct events){
		.follower = { .progress = progress, .compiled = compiled, .due_ms = due_ms, .send = send_due },
		.exchange = exchange,
		.output_bytes = limits->output_bytes,
		.heartbeat_us = config->heartbeat_ms * 1000,
	};
}

/* ---- the end of the run ----------------------------------------------------------------------------------------- */

void
events_finish(struct events *events, struct run *run)
{
	struct reply *reply = &events->exchange->reply;

	reply_expect(reply,
	    (run->out.size - events->out.sent + run->err.size - events->err.sent + run->compilation.text.size) * RUN_ESCAPES +
	        run->files.map_size * RUN_ESCAPES);
	if (!events->is_accepted)
		events->account = run->account;
	tell_steps(events, run);
	put_rest(events, "stdout", &events->out, &run->out);
	put_rest(events, "stderr", &events->err, &run->err);
	for (size_t i = 0; i < run->files.count; i++) {
		event_begin(reply, "file");
		reply_files_put_one(reply, &run->files.file[i]);
		event_end(reply);
	}
}

void
events_break_off(struct events *events, struct run *run)
{
	struct reply *reply = &events->exchange->reply;

	if (!reply->has_begun)
		return;
	reply_expect(reply, run->out.size + run->err.size);
	tell_steps(events, run);
	if (!events->has_started)
		return;
	while (!reply->is_cut && put_now(events, "stdout", &events->out, &run->out))
		;
	while (!reply->is_cut && put_now(events, "stderr", &events->err, &run->err))
		;
}

void
events_test(struct events *events, const struct tests *tests, size_t number, const struct proto_account *account)
{
	struct reply *reply = &events->exchange->reply;
	const struct test_outcome *outcome = &tests->outcome[number];

	if (reply->is_cut)
		return;
	reply_expect(reply, (outcome->out.size + outcome->err.size + outcome->checker_text.size) * RUN_ESCAPES);
	if (!events->is_accepted)
		events->account = *account;
	events->is_accepted = true;
	tell_queued(events);
	event_begin(reply, "test");
	reply_tests_put_one(reply, tests, number);
	event_end(reply);
	if (FCGX_FFlush(reply->out) != 0)
		reply->is_cut = true;
	events->last_us = clock_us();
}

void
events_send(struct events *events, const char *kind, const char *json, size_t size)
{
	struct reply *reply = &events->exchange->reply;

	reply_expect(reply, size);
	event_send(reply, kind, json, size);
	if (FCGX_FFlush(reply->out) != 0)
		reply->is_cut = true;
	events->last_us = clock_us();
}
