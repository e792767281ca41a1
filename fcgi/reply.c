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
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "denied_text.h"
#include "json_text.h"

#define SUCCESS "{\"code\":0,\"message\":\"success\",\"data\":"

static const char *
phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 429:
		return "Too Many Requests";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

static void
put(struct reply *reply, const char *bytes, size_t size)
{
	/* libfcgi counts in int. It fails only if the client has gone away, which is no fault. */
	while (size > 0) {
		int part = size < 1 << 20 ? (int)size : 1 << 20;

		if (FCGX_PutStr(bytes, part, reply->out) < 0)
			return;
		bytes += part;
		size -= (size_t)part;
	}
}

static void
put_escaped(struct reply *reply, const char *bytes, size_t size)
{
	char block[8192];
	size_t used;

	for (size_t at = 0; at < size; at += used) {
		size_t n = json_text_escape(bytes + at, size - at, &used, block, sizeof block);

		if (FCGX_PutStr(block, (int)n, reply->out) < 0)
			return;
	}
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
	n = snprintf(text, sizeof text,
	    "Status: %d %s\r\nContent-Type: application/json%s\r\nContent-Length: %zu\r\n%s%s\r\n",
	    status, phrase(status), is_replaced ? "" : "; charset=utf-8", size, reply->header, header != NULL ? header : "");
	put(reply, text, (size_t)n);
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
	put(reply, json, size);
}

void
reply_data(struct reply *reply, struct json_object *data)
{
	size_t size;
	const char *json = json_object_to_json_string_length(data, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
	    &size);

	put_header(reply, 200, NULL, strlen(SUCCESS) + size + 1);
	put(reply, SUCCESS, strlen(SUCCESS));
	put(reply, json, size);
	put(reply, "}", 1);
	json_object_put(data);
}

void
reply_error(struct reply *reply, const struct http_error *error, const char *header)
{
	char text[HTTP_ERROR_TEXT_SIZE * JSON_TEXT_MAX];
	char json[sizeof text + 64];
	size_t used, length;
	int n;

	length = json_text_escape(error->text, strlen(error->text), &used, text, sizeof text);
	n = snprintf(json, sizeof json, "{\"code\":%d,\"message\":\"%.*s\",\"data\":null}", error->code, (int)length, text);
	reply_send(reply, error->status, header, json, (size_t)n);
}

/* The signal in words: "segmentation fault". */
static void
describe_signal(int number, char *text, size_t size)
{
	const char *known = sigdescr_np(number);

	snprintf(text, size, "%s", known != NULL ? known : "unknown signal");
	text[0] = (char)tolower((unsigned char)text[0]);
}

/* The name of the signal as JSON: "SIGSEGV" in quotes, or null. */
static void
name_signal(int number, char *text, size_t size)
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
 * The second line of `error`, as the inside of a JSON string: why the run ended. Empty if the exit
 * code says it all.
 */
static void
describe_end(const struct run_result *result, const struct run_limits *limits, char *text, size_t size)
{
	char name[64];

	text[0] = '\0';
	switch ((enum verdict)result->verdict) {
	case VERDICT_TIMEOUT:
		snprintf(text, size, "error: timeout (%" PRIu64 " ms)\\n", limits->wall_ms);
		break;
	case VERDICT_CPU_LIMIT:
		snprintf(text, size, "error: cpu limit exceeded (%" PRIu64 " ms)\\n", limits->cpu_ms);
		break;
	case VERDICT_MEMORY_LIMIT:
		snprintf(text, size, "error: memory limit exceeded (%" PRIu64 " bytes)\\n", limits->memory_bytes);
		break;
	case VERDICT_OUTPUT_LIMIT:
		snprintf(text, size, "error: output limit exceeded (%" PRIu64 " bytes)\\n", limits->output_bytes);
		break;
	case VERDICT_PROCESS_LIMIT:
		snprintf(text, size, "error: process limit exceeded (%" PRIu64 ")\\n", limits->processes);
		break;
	case VERDICT_DISK_LIMIT:
		snprintf(text, size, "error: disk limit exceeded (%" PRIu64 " bytes)\\n", limits->disk_bytes);
		break;
	case VERDICT_DENIED:
		snprintf(text, size, "error: operation not permitted: a system call that only an attack makes\\n");
		break;
	case VERDICT_CANCELLED:
		snprintf(text, size, "error: cancelled\\n");
		break;
	case VERDICT_SIGNAL:
		describe_signal(result->signal, name, sizeof name);
		snprintf(text, size, "error: signal: %s\\n", name);
		break;
	case VERDICT_COMPILE_ERROR:
		snprintf(text, size, "error: compile error\\n");
		break;
	case VERDICT_OK:
	case VERDICT_EXIT:
	case VERDICT_COUNT:
		break;
	}
}

/* Whether denied system calls can be the cause of such an end. */
static bool
may_be_denial(enum verdict verdict)
{
	return verdict == VERDICT_EXIT || verdict == VERDICT_SIGNAL || verdict == VERDICT_DENIED;
}

/* The same for a program that was not run, because its compiler failed or exceeded a limit. */
static void
describe_compile_error(const struct compilation *compilation, char *text, size_t size)
{
	char why[128];

	describe_end(&compilation->result, compilation->limits, why, sizeof why);
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

/* The members after the texts. */
static int
describe_rest(const struct run *run, char *text, size_t size)
{
	const struct run_result *r = &run->result;
	char name[32], denied[DENIED_JSON_SIZE];

	name_signal(r->signal, name, sizeof name);
	denied_json(&r->denied, r->network, denied);
	return snprintf(text, size,
	    "\"exit_code\":%d,\"signal\":%s,\"status\":\"%s\",\"truncated\":%s,\"denied\":%s,\"usage\":{"
	    "\"wall_ms\":%" PRIu64 ".%03u,\"cpu_ms\":%" PRIu64 ".%03u,\"memory_peak_bytes\":%" PRIu64
	    ",\"processes_peak\":%u,\"stdout_bytes\":%zu,\"stderr_bytes\":%zu,\"queue_ms\":%" PRIu64 ".%03u,\"spawn_ms\":%" PRIu64
	    ".%03u},\"network\":\"%s\",\"isolation\":\"%s\"}}",
	    r->exit_code, name, proto_verdict_name(r->verdict), run->out.truncated || run->err.truncated ? "true" : "false",
	    denied, r->wall_us / 1000, (unsigned)(r->wall_us % 1000), r->cpu_us / 1000, (unsigned)(r->cpu_us % 1000),
	    r->memory_peak_bytes, r->processes_peak, run->out.size, run->err.size, r->queue_us / 1000,
	    (unsigned)(r->queue_us % 1000), r->spawn_us / 1000, (unsigned)(r->spawn_us % 1000), proto_network_name(r->network),
	    proto_level_name(run->level));
}

void
reply_run(struct reply *reply, const struct run *run, const struct run_limits *limits)
{
	static const char before_out[] = SUCCESS "{\"stdout\":\"";
	static const char before_err[] = "\",\"stderr\":\"";
	static const char before_error[] = "\",\"error\":\"";
	static const char after_compilation[] = "\"},";
	const struct compilation *compilation = &run->compilation;
	bool failed = run->result.verdict != VERDICT_OK;
	char why[160] = "", denied[DENIED_LINE_SIZE] = "", error[256 + DENIED_LINE_SIZE] = "", compiled[160];
	char rest[1024 + DENIED_JSON_SIZE];
	size_t out_length = json_text_length(run->out.bytes, run->out.size);
	size_t err_length = json_text_length(run->err.bytes, run->err.size);
	int error_length = 0, compiled_length, rest_length;
	size_t length;

	if (failed) {
		if (run->result.verdict == VERDICT_COMPILE_ERROR)
			describe_compile_error(compilation, why, sizeof why);
		else
			describe_end(&run->result, limits, why, sizeof why);
		if (may_be_denial(run->result.verdict))
			denied_line(&run->result.denied, run->result.network, denied);
		error_length = snprintf(error, sizeof error, "process exited with code %d\\n%s%s", run->result.exit_code, why,
		    denied);
	}
	compiled_length = describe_compilation(compilation, compiled, sizeof compiled);
	rest_length = describe_rest(run, rest, sizeof rest);
	length = strlen(before_out) + out_length + strlen(before_err) + err_length + strlen(before_error) + (size_t)error_length +
	    (failed ? err_length : 0) + (size_t)compiled_length + (size_t)rest_length;
	if (compilation->took_place)
		length += json_text_length(compilation->text.bytes, compilation->text.size) + strlen(after_compilation);

	put_header(reply, 200, NULL, length);
	put(reply, before_out, strlen(before_out));
	put_escaped(reply, run->out.bytes, run->out.size);
	put(reply, before_err, strlen(before_err));
	put_escaped(reply, run->err.bytes, run->err.size);
	put(reply, before_error, strlen(before_error));
	put(reply, error, (size_t)error_length);
	if (failed)
		put_escaped(reply, run->err.bytes, run->err.size);
	put(reply, compiled, (size_t)compiled_length);
	if (compilation->took_place) {
		put_escaped(reply, compilation->text.bytes, compilation->text.size);
		put(reply, after_compilation, strlen(after_compilation));
	}
	put(reply, rest, (size_t)rest_length);
}
