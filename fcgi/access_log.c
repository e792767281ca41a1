/* access_log.c - see access_log.h. Runs in the worker. */
#define _GNU_SOURCE
#include "access_log.h"

#include <inttypes.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json_text.h"
#include "log.h"

#define STRING_BYTES 160 /* of a string in the line, escapes included */

void
access_log_request(struct access_log *log, const char *language, const struct run_request *request, size_t body_bytes)
{
	SHA2_CTX context;

	log->language = language;
	log->bytes_in = body_bytes;
	SHA256Init(&context);
	SHA256Update(&context, (const uint8_t *)request->code.bytes, request->code.size);
	SHA256Final(log->code_sha256, &context);
}

void
access_log_result(struct access_log *log, const struct run *run)
{
	log->has_result = true;
	log->result = run->result;
	log->was_compiled = run->compilation.took_place;
	log->was_cached = run->compilation.was_cached;
	log->compile_wall_us = run->compilation.result.wall_us;
	log->compile_cpu_us = run->compilation.result.cpu_us;
}

/* The line so far. Everything has a most size, and the sum of them fits. */
struct line {
	char *bytes;
	size_t size;
};

static void __attribute__((format(printf, 2, 3))) add(struct line *line, const char *format, ...)
{
	size_t left = ACCESS_LOG_LINE_BYTES - line->size;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->bytes + line->size, left, format, args);
	va_end(args);
	if (n > 0)
		line->size += (size_t)n < left ? (size_t)n : left - 1;
}

static void
add_string(struct line *line, const char *name, const char *value)
{
	char text[STRING_BYTES];
	size_t used, size = json_text_escape(value, strlen(value), &used, text, sizeof text);

	add(line, ",\"%s\":\"%.*s\"", name, (int)size, text);
}

static void
add_ms(struct line *line, const char *name, uint64_t us)
{
	add(line, ",\"%s\":%" PRIu64 ".%03u", name, us / 1000, (unsigned)(us % 1000));
}

static void
add_result(struct line *line, const struct access_log *log)
{
	const struct run_result *result = &log->result;

	add_string(line, "status", proto_verdict_name(result->verdict));
	add(line, ",\"exit_code\":%" PRId32 ",\"signal\":%" PRId32, result->exit_code, result->signal);
	add_ms(line, "queue_ms", result->queue_us);
	add_ms(line, "spawn_ms", result->spawn_us);
	add_ms(line, "wall_ms", result->wall_us);
	add_ms(line, "cpu_ms", result->cpu_us);
	if (result->stall_us > 0)
		add_ms(line, "stall_ms", result->stall_us);
	add(line, ",\"memory_peak_bytes\":%" PRIu64 ",\"denied\":%" PRIu64, result->memory_peak_bytes, result->denied.total);
	if (!log->was_compiled)
		return;
	add(line, ",\"compile_cached\":%s", log->was_cached ? "true" : "false");
	add_ms(line, "compile_wall_ms", log->compile_wall_us);
	add_ms(line, "compile_cpu_ms", log->compile_cpu_us);
}

size_t
access_log_format(const struct access_log *log, char *bytes)
{
	struct line line = { .bytes = bytes };
	struct timespec now;
	char date[32];
	struct tm utc;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
	add(&line, "{\"time\":\"%s.%03ldZ\",\"program\":\"cellblock-fcgi\",\"pid\":%ld", date, now.tv_nsec / 1000000,
	    (long)getpid());
	add_string(&line, "request", log->request_id);
	add_string(&line, "key", log->key_name);
	add_string(&line, "route", log->route);
	add(&line, ",\"http\":%d", log->status);
	add_string(&line, "outcome", log->outcome);
	add_ms(&line, "ms", log->spent_us);
	add(&line, ",\"bytes_in\":%zu,\"bytes_out\":%zu", log->bytes_in, log->bytes_out);
	if (log->language != NULL) {
		add_string(&line, "language", log->language);
		add(&line, ",\"code_sha256\":\"");
		for (size_t i = 0; i < sizeof log->code_sha256; i++)
			add(&line, "%02x", log->code_sha256[i]);
		add(&line, "\"");
	}
	if (log->has_result)
		add_result(&line, log);
	if (log->traceparent[0] != '\0')
		add_string(&line, "traceparent", log->traceparent);
	add(&line, "}\n");
	return line.size;
}

void
access_log_write(const struct access_log *log)
{
	char line[ACCESS_LOG_LINE_BYTES];
	size_t size = access_log_format(log, line);

	log_write(line, size);
}
