/*
 * reply.c - see reply.h. Runs in the worker.
 *
 * The reply to a run can have tens of megabytes. It is never assembled in memory: its length is
 * counted first, and then it is escaped block by block into libfcgi's buffer.
 */
#define _GNU_SOURCE
#include "reply.h"

#include <ctype.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "denied_text.h"
#include "json_text.h"
#include "reply_files.h"
#include "reply_tests.h"
#include "request_limits.h"
#include "units.h"

#define ERROR_HEAD_BYTES 4096           /* of stderr in `error`, if it does not fit */
#define ERROR_TAIL_BYTES 12288          /* the same of its end, where the cause is in most languages */
#define ERROR_LINE_BYTES 512            /* the longest piece of a line that is left out with it */
#define WHY_SIZE 192                    /* of a line that says why a run ended */
#define WAIT_BYTES 65536                /* less than poll(2) announces */
#define STALL_MS 15000                  /* for nginx to take nothing */
#define REPLY_MS 30000                  /* for it to take all, ... */
#define REPLY_BYTES_PER_S (1024 * 1024) /* ... and the slowest pace on top of that */

#define SUCCESS "{\"code\":0,\"message\":\"success\",\"data\":"

static const char *
phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 422:
		return "Unprocessable Content";
	case 429:
		return "Too Many Requests";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	case 507:
		return "Insufficient Storage";
	default:
		return "Internal Server Error";
	}
}

void
reply_expect(struct reply *reply, uint64_t bytes)
{
	reply->deadline_us = clock_us() + REPLY_MS * 1000 + bytes * 1000000 / REPLY_BYTES_PER_S;
}

/*
 * Wait until nginx takes more. It does so at once up to fastcgi_max_temp_file_size; of a longer
 * reply it takes as much as the client does, and a client that stands still, or nearly so, must not
 * keep this thread. poll(2) announces room for more than WAIT_BYTES, so no write(2) waits.
 */
static void
wait_for_room(struct reply *reply)
{
	struct pollfd nginx = { .fd = reply->fd, .events = POLLOUT };
	uint64_t now_us = clock_us();

	if (reply->deadline_us == 0)
		reply_expect(reply, reply->bytes);
	while (now_us < reply->deadline_us) {
		uint64_t left_ms = (reply->deadline_us - now_us) / 1000 + 1;

		if (poll(&nginx, 1, left_ms < STALL_MS ? (int)left_ms : STALL_MS) >= 0)
			break;
		now_us = clock_us();
	}
	if ((nginx.revents & (POLLOUT | POLLERR | POLLHUP)) != 0)
		return;
	/* The client finds less than the Content-Length. Nothing that is written now waits. */
	reply->is_cut = true;
	shutdown(reply->fd, SHUT_RDWR);
}

/* At most WAIT_BYTES. libfcgi fails only if the client has gone away, which is no fault. */
static void
put_part(struct reply *reply, const char *bytes, size_t size)
{
	if (reply->fd > 0 && (reply->unwaited += size) > WAIT_BYTES) {
		wait_for_room(reply);
		reply->unwaited = size;
	}
	if (reply->has_begun)
		reply->bytes += size;
	if (!reply->is_cut && FCGX_PutStr(bytes, (int)size, reply->out) < 0)
		reply->is_cut = true;
}

void
reply_put(struct reply *reply, const char *bytes, size_t size)
{
	for (size_t at = 0, part; at < size && !reply->is_cut; at += part) {
		part = size - at < WAIT_BYTES ? size - at : WAIT_BYTES;
		put_part(reply, bytes + at, part);
	}
}

void
reply_put_escaped(struct reply *reply, const char *bytes, size_t size)
{
	char block[8192];
	size_t used;

	for (size_t at = 0; at < size && !reply->is_cut; at += used)
		put_part(reply, block, json_text_escape(bytes + at, size - at, &used, block, sizeof block));
}

static void
put_header(struct reply *reply, int status, const char *header, size_t size)
{
	/* To its own answer nginx would add the charset of the answer that it replaces. */
	bool is_replaced = header != NULL && strncmp(header, REPLY_REPLACED, strlen(REPLY_REPLACED)) == 0;
	char text[512 + REPLY_HEADER_SIZE];
	int n;

	reply->status = status;
	reply->bytes = size;
	n = snprintf(text, sizeof text, "Status: %d %s\r\nContent-Type: application/json%s\r\nContent-Length: %zu\r\n%s%s\r\n",
	    status, phrase(status), is_replaced ? "" : "; charset=utf-8", size, reply->header, header != NULL ? header : "");
	reply_put(reply, text, (size_t)n);
}

void
reply_begin(struct reply *reply, int status, size_t size)
{
	put_header(reply, status, NULL, size);
}

void
reply_add_header(struct reply *reply, const char *format, ...)
{
	size_t at = strlen(reply->header), room = sizeof reply->header - at;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(reply->header + at, room, format, args);
	va_end(args);
	/* A line that does not fit is left out. */
	if (n < 0 || (size_t)n + sizeof "\r\n" > room)
		reply->header[at] = '\0';
	else
		strcpy(reply->header + at + n, "\r\n");
}

void
reply_send(struct reply *reply, int status, const char *header, const char *json, size_t size)
{
	put_header(reply, status, header, size);
	reply_put(reply, json, size);
}

void
reply_data(struct reply *reply, struct json_object *data)
{
	size_t size;
	const char *json = json_object_to_json_string_length(data, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
	    &size);

	put_header(reply, 200, NULL, strlen(SUCCESS) + size + 1);
	reply_put(reply, SUCCESS, strlen(SUCCESS));
	reply_put(reply, json, size);
	reply_put(reply, "}", 1);
	json_object_put(data);
}

void
reply_error_with(struct reply *reply, const struct http_error *error, const char *header, const char *more)
{
	char text[HTTP_ERROR_TEXT_SIZE * JSON_TEXT_MAX];
	char json[sizeof text + 64];
	size_t used, length;
	int n;

	if (reply->has_begun) {
		event_error(reply, error);
		return;
	}
	length = json_text_escape(error->text, strlen(error->text), &used, text, sizeof text);
	n = snprintf(json, sizeof json, "{\"code\":%d,\"message\":\"%.*s\",\"data\":null", error->code, (int)length, text);
	put_header(reply, error->status, header, (size_t)n + strlen(more) + 1);
	reply_put(reply, json, (size_t)n);
	reply_put(reply, more, strlen(more));
	reply_put(reply, "}", 1);
}

void
reply_error(struct reply *reply, const struct http_error *error, const char *header)
{
	reply_error_with(reply, error, header, "");
}

/* The signal in words: "segmentation fault". */
static void
describe_signal(int number, char *text, size_t size)
{
	const char *known = sigdescr_np(number);

	snprintf(text, size, "%s", known != NULL ? known : "unknown signal");
	text[0] = (char)tolower((unsigned char)text[0]);
}

void
reply_name_signal(int number, char *text, size_t size)
{
	const char *known = sigabbrev_np(number);

	if (number == 0)
		snprintf(text, size, "null");
	else if (known != NULL)
		snprintf(text, size, "\"SIG%s\"", known);
	else
		snprintf(text, size, "\"%d\"", number);
}

/*
 * The limit that an end met, in the names of a request and of `error`. A program that may start no
 * process has met the limit of its threads; else the kernel counts both together.
 */
static const struct met {
	const char *name; /* NULL: none */
	const char *words;
} no_limit, wall = { "wall_ms", "timeout" }, cpu = { "cpu_ms", "cpu limit exceeded" },
            memory = { "memory_bytes", "memory limit exceeded" }, output = { "output_bytes", "output limit exceeded" },
            processes = { "processes", "process limit exceeded" }, threads = { "threads", "thread limit exceeded" },
            disk = { "disk_bytes", "disk limit exceeded" }, inodes = { "inodes", "limit of files and directories exceeded" };

static const struct met *
limit_met(const struct run_result *result, const struct run_limits *limits)
{
	switch ((enum verdict)result->verdict) {
	case VERDICT_TIMEOUT:
		return &wall;
	case VERDICT_CPU_LIMIT:
		return &cpu;
	case VERDICT_MEMORY_LIMIT:
		return &memory;
	case VERDICT_OUTPUT_LIMIT:
		return &output;
	case VERDICT_PROCESS_LIMIT:
		return limits->processes > 1 ? &processes : &threads;
	case VERDICT_DISK_LIMIT:
		return result->inodes_full != 0 ? &inodes : &disk;
	case VERDICT_OK:
	case VERDICT_EXIT:
	case VERDICT_SIGNAL:
	case VERDICT_DENIED:
	case VERDICT_COMPILE_ERROR:
	case VERDICT_CANCELLED:
	case VERDICT_COUNT:
		break;
	}
	return &no_limit;
}

static uint64_t
limit_value(const struct met *met, const struct run_limits *limits)
{
	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		if (strcmp(request_limits[i].name, met->name) == 0)
			return request_limit_of(&request_limits[i], limits);
	}
	return 0;
}

/*
 * "error: memory limit exceeded (268435456 bytes), which is 256 MiB": for programs and for people.
 */
static void
describe_limit(const struct met *met, const struct run_limits *limits, bool is_compile, char *text, size_t size)
{
	uint64_t value = limit_value(met, limits);
	const char *unit = strrchr(met->name, '_');
	char words[UNITS_TEXT_SIZE];
	bool has_words = units_of_limit(met->name, value, words);

	if (met == &processes && limits->threads > 0) {
		snprintf(text, size,
		    "error: limit of processes and threads exceeded (%" PRIu64 " together: limits.processes %" PRIu64
		    ", limits.threads %" PRIu64 ")\\n",
		    run_limits_tasks(limits), limits->processes, limits->threads);
		return;
	}
	snprintf(text, size, "error: %s (%" PRIu64 "%s%s)%s%s%s\\n", met->words, value, unit != NULL ? " " : "",
	    unit != NULL ? unit + 1 : "", has_words ? ", which is " : "", words,
	    met != &processes || is_compile ? "" : "; each thread counts, unless limits.threads asks for more");
}

/*
 * The second line of `error`, as the inside of a JSON string: why the run ended. Empty if the exit
 * code says it all.
 */
static void
describe_end(const struct run_result *result, const struct run_limits *limits, bool is_compile, char *text, size_t size)
{
	const struct met *met = limit_met(result, limits);
	char name[64];

	text[0] = '\0';
	if (met->name != NULL)
		describe_limit(met, limits, is_compile, text, size);
	else if (result->verdict == VERDICT_DENIED)
		snprintf(text, size, "error: operation not permitted: a system call that only an attack makes\\n");
	else if (result->verdict == VERDICT_CANCELLED)
		snprintf(text, size, "error: cancelled\\n");
	else if (result->verdict == VERDICT_COMPILE_ERROR)
		snprintf(text, size, "error: compile error\\n");
	else if (result->verdict == VERDICT_SIGNAL) {
		describe_signal(result->signal, name, sizeof name);
		snprintf(text, size, "error: signal: %s\\n", name);
	}
}

/* The same for a program that was not run, because its compiler failed or exceeded a limit. */
static void
describe_compile_error(const struct compilation *compilation, char *text, size_t size)
{
	char why[WHY_SIZE - 16];

	describe_end(&compilation->result, compilation->limits, true, why, sizeof why);
	if (why[0] == '\0' || compilation->result.verdict == VERDICT_COMPILE_ERROR)
		snprintf(text, size, "error: compile error\\n");
	else
		snprintf(text, size, "error: compile %s", why);
}

/*
 * Close the string of `error`, and open `compile`, if the program was compiled, up to its output.
 */
static int
describe_compilation(const struct compilation *compilation, char *text, size_t size)
{
	if (!compilation->took_place)
		return snprintf(text, size, "\",");
	return snprintf(text, size,
	    "\",\"compile\":{\"cached\":%s,\"wall_ms\":%" PRIu64 ".%03u,\"cpu_ms\":%" PRIu64 ".%03u,\"output\":\"",
	    compilation->was_cached ? "true" : "false", compilation->result.wall_us / 1000,
	    (unsigned)(compilation->result.wall_us % 1000), compilation->result.cpu_us / 1000,
	    (unsigned)(compilation->result.cpu_us % 1000));
}

void
reply_stall(const struct run_result *result, char text[REPLY_STALL_SIZE])
{
	text[0] = '\0';
	if (result->stall_us > 0)
		snprintf(text, REPLY_STALL_SIZE, ",\"stall_ms\":%" PRIu64 ".%03u", result->stall_us / 1000,
		    (unsigned)(result->stall_us % 1000));
}

/* The members `fault`, unless all went well, and `limit`, if one was met: for programs. */
static void
describe_met(const struct run_result *result, const struct run_limits *limits, char *text, size_t size)
{
	const struct met *met = limit_met(result, limits);
	const char *fault = test_fault_name(test_fault_of_run(result));
	int at = 0;

	text[0] = '\0';
	if (fault != NULL)
		at = snprintf(text, size, "\"fault\":\"%s\",", fault);
	if (met->name != NULL)
		snprintf(text + at, size - (size_t)at, "\"limit\":{\"name\":\"%s\",\"value\":%" PRIu64 "},", met->name,
		    limit_value(met, limits));
}

/* The members after the texts. */
static int
describe_rest(const struct run *run, const struct run_limits *limits, const struct denied_context *context, char *text,
    size_t size)
{
	const struct run_result *r = &run->result;
	char name[32], met[128], denied[DENIED_JSON_SIZE], stall[REPLY_STALL_SIZE], peak[16] = "null";

	if (r->processes_peak != 0)
		snprintf(peak, sizeof peak, "%u", r->processes_peak);
	reply_name_signal(r->signal, name, sizeof name);
	describe_met(r, limits, met, sizeof met);
	reply_stall(r, stall);
	denied_json(&r->denied, context, denied);
	return snprintf(text, size,
	    "\"exit_code\":%d,\"signal\":%s,\"status\":\"%s\",%s\"truncated\":%s,\"denied\":%s,\"usage\":{"
	    "\"wall_ms\":%" PRIu64 ".%03u,\"cpu_ms\":%" PRIu64 ".%03u,\"memory_peak_bytes\":%" PRIu64
	    ",\"processes_peak\":%s,\"stdout_bytes\":%zu,\"stderr_bytes\":%zu,\"queue_ms\":%" PRIu64 ".%03u,\"spawn_ms\":%" PRIu64
	    ".%03u%s},\"network\":\"%s\",\"isolation\":\"%s\"",
	    r->exit_code, name, proto_verdict_name(r->verdict), met, run->out.truncated || run->err.truncated ? "true" : "false",
	    denied, r->wall_us / 1000, (unsigned)(r->wall_us % 1000), r->cpu_us / 1000, (unsigned)(r->cpu_us % 1000),
	    r->memory_peak_bytes, peak, run->out.size, run->err.size, r->queue_us / 1000, (unsigned)(r->queue_us % 1000),
	    r->spawn_us / 1000, (unsigned)(r->spawn_us % 1000), stall, proto_network_name(r->network),
	    proto_level_name(run->level));
}

/* The part of stderr that is in `error`: all of it, or its two ends around a line that says so. */
struct excerpt {
	struct {
		const char *bytes;
		size_t size;
	} head, tail;
	char between[96]; /* as the inside of a JSON string */
};

/* Cut in front of a line, if one begins soon after `at`, else in front of a character. */
static size_t
next_line(const char *bytes, size_t size, size_t at)
{
	const char *line = memchr(bytes + at, '\n', size - at < ERROR_LINE_BYTES ? size - at : ERROR_LINE_BYTES);

	if (line != NULL && (size_t)(line + 1 - bytes) < size)
		return (size_t)(line + 1 - bytes);
	while (at < size && ((unsigned char)bytes[at] & 0xc0) == 0x80)
		at++;
	return at;
}

static void
take_excerpt(const struct output *err, struct excerpt *excerpt)
{
	size_t tail_at;

	*excerpt = (struct excerpt){ .head = { err->bytes, err->size }, .tail = { err->bytes, 0 } };
	if (err->size <= ERROR_HEAD_BYTES + ERROR_TAIL_BYTES)
		return;
	excerpt->head.size = json_text_trim(err->bytes, ERROR_HEAD_BYTES);
	tail_at = next_line(err->bytes, err->size, err->size - ERROR_TAIL_BYTES);
	excerpt->tail.bytes = err->bytes + tail_at;
	excerpt->tail.size = err->size - tail_at;
	snprintf(excerpt->between, sizeof excerpt->between, "\\n[%zu bytes of stderr are left out here]\\n",
	    tail_at - excerpt->head.size);
}

static size_t
excerpt_length(const struct excerpt *excerpt)
{
	return json_text_length(excerpt->head.bytes, excerpt->head.size) + strlen(excerpt->between) +
	    json_text_length(excerpt->tail.bytes, excerpt->tail.size);
}

struct denied_context
reply_denied_context(const struct run *run, const struct config *config, const struct run_request *request)
{
	return (struct denied_context){ .network = (enum network)run->result.network,
		.wants_network = request->wants_network,
		.has_network = config->network != NETWORK_NONE,
		.key_has_network = !request->key_lacks_network,
		.has_loopback = request->may_loopback,
		.by_signal = run->result.verdict == VERDICT_SIGNAL,
		.processes = request->limits.processes,
		.maximum_processes = request->maximum.processes };
}

void
reply_run(struct reply *reply, const struct run *run, const struct config *config, const struct run_request *request)
{
	static const char before_out[] = SUCCESS "{\"stdout\":\"";
	static const char before_err[] = "\",\"stderr\":\"";
	static const char before_error[] = "\",\"error\":\"";
	static const char after_compilation[] = "\"},";
	static const char end[] = "}}";
	static const char begin_event[] = "{\"error\":\"";
	const struct compilation *compilation = &run->compilation;
	const struct denied_context context = reply_denied_context(run, config, request);
	bool failed = run->result.verdict != VERDICT_OK;
	char why[WHY_SIZE] = "", denied[DENIED_LINE_SIZE] = "", error[64 + WHY_SIZE + DENIED_LINE_SIZE] = "", compiled[160];
	char rest[1024 + DENIED_JSON_SIZE];
	size_t out_length = json_text_length(run->out.bytes, run->out.size);
	size_t err_length = json_text_length(run->err.bytes, run->err.size);
	int error_length = 0, compiled_length, rest_length;
	struct excerpt excerpt;
	size_t length;

	if (failed) {
		if (run->result.verdict == VERDICT_COMPILE_ERROR)
			describe_compile_error(compilation, why, sizeof why);
		else
			describe_end(&run->result, &request->limits, false, why, sizeof why);
		if (run->result.verdict == VERDICT_EXIT || run->result.verdict == VERDICT_SIGNAL)
			denied_line(&run->result.denied, &context, run->err.bytes, run->err.size, denied);
		error_length = snprintf(error, sizeof error, "process exited with code %d\\n%s%s", run->result.exit_code, why,
		    denied);
		take_excerpt(&run->err, &excerpt);
	}
	compiled_length = describe_compilation(compilation, compiled, sizeof compiled);
	rest_length = describe_rest(run, &request->limits, &context, rest, sizeof rest);
	length = strlen(before_out) + out_length + strlen(before_err) + err_length + strlen(before_error) + (size_t)error_length +
	    (failed ? excerpt_length(&excerpt) : 0) + (size_t)compiled_length + (size_t)rest_length +
	    reply_files_length(&run->files) + reply_tests_length(run->tests) + strlen(end);
	if (compilation->took_place)
		length += json_text_length(compilation->text.bytes, compilation->text.size) + strlen(after_compilation);

	if (reply->form == EVENT_NONE) {
		put_header(reply, 200, NULL, length);
		reply_put(reply, before_out, strlen(before_out));
		reply_put_escaped(reply, run->out.bytes, run->out.size);
		reply_put(reply, before_err, strlen(before_err));
		reply_put_escaped(reply, run->err.bytes, run->err.size);
		reply_put(reply, before_error, strlen(before_error));
	} else {
		event_begin(reply, "result");
		reply_put(reply, begin_event, strlen(begin_event));
	}
	reply_put(reply, error, (size_t)error_length);
	if (failed) {
		reply_put_escaped(reply, excerpt.head.bytes, excerpt.head.size);
		reply_put(reply, excerpt.between, strlen(excerpt.between));
		reply_put_escaped(reply, excerpt.tail.bytes, excerpt.tail.size);
	}
	reply_put(reply, compiled, (size_t)compiled_length);
	if (compilation->took_place) {
		reply_put_escaped(reply, compilation->text.bytes, compilation->text.size);
		reply_put(reply, after_compilation, strlen(after_compilation));
	}
	reply_put(reply, rest, (size_t)rest_length);
	reply_files_put(reply, &run->files);
	reply_tests_put(reply, run->tests);
	if (reply->form == EVENT_NONE) {
		reply_put(reply, end, strlen(end));
	} else {
		reply_put(reply, end, 1); /* of the data; the envelope is the event */
		event_end(reply);
	}
}
