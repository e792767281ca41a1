/* log.c - see log.h. */
#define _GNU_SOURCE
#include "log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024

static const char *log_program = "cellblock";
static bool waits = true;
static bool is_json;
static _Atomic unsigned long dropped; /* lines since the last one that was written */

void
log_open(const char *program)
{
	log_program = program;
}

void
log_as_json(void)
{
	is_json = true;
}

void
log_never_wait(void)
{
	waits = false;
}

/* A pipe that can be written to has room for PIPE_BUF bytes, and a line is shorter than that. */
static bool
would_wait(void)
{
	struct pollfd log = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&log, 1, 0) == 0;
}

void
log_write(const char *line, size_t size)
{
	/* A log that is full or closed must not stop the service. */
	if (write(STDERR_FILENO, line, size) < 0)
		return;
}

/*
 * Make the text behind `from` the inside of a JSON string, and close the object. It is cut if it
 * does not fit. A byte that is not ASCII may be half of a character, and becomes '?'. Returns the
 * new end.
 */
static size_t
close_json(char *line, size_t from, size_t end)
{
	static const char last[] = "\"}";
	char text[LINE_BYTES];
	size_t at = from;

	memcpy(text, line + from, end - from);
	for (size_t i = 0; i < end - from && at < LINE_BYTES - sizeof last - 2; i++) {
		if (text[i] == '"' || text[i] == '\\')
			line[at++] = '\\';
		line[at++] = (unsigned char)text[i] < 0x7f ? text[i] : '?';
	}
	memcpy(line + at, last, sizeof last - 1);
	return at + sizeof last - 1;
}

static void __attribute__((format(printf, 2, 0))) log_line(const char *level, const char *format, va_list args)
{
	char line[LINE_BYTES];
	struct timespec now;
	unsigned long lost;
	struct tm utc;
	size_t at, message_at;
	int n;

	if (!waits && would_wait()) {
		dropped++;
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	at = is_json ? (size_t)snprintf(line, sizeof line, "{\"time\":\"") : 0;
	at += strftime(line + at, sizeof line - at, "%Y-%m-%dT%H:%M:%S", &utc);
	at += (size_t)snprintf(line + at, sizeof line - at,
	    is_json ? ".%03ldZ\",\"program\":\"%s\",\"pid\":%ld,\"level\":\"%s\",\"message\":\"" : ".%03ldZ %s[%ld] %s: ",
	    now.tv_nsec / 1000000, log_program, (long)getpid(), level);
	message_at = at;
	lost = atomic_exchange(&dropped, 0);
	if (lost > 0)
		at += (size_t)snprintf(line + at, sizeof line - at, "(%lu lines before this one are lost) ", lost);
	n = vsnprintf(line + at, sizeof line - at - 1, format, args);
	if (n > 0)
		at += (size_t)n < sizeof line - at - 1 ? (size_t)n : sizeof line - at - 2;
	/* Text from outside must not forge a second line. */
	for (size_t i = 0; i < at; i++) {
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	}
	if (is_json)
		at = close_json(line, message_at, at);
	line[at++] = '\n';
	log_write(line, at);
}

void
log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line("info", format, args);
	va_end(args);
}

void
log_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line("warning", format, args);
	va_end(args);
}

void
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line("fatal", format, args);
	va_end(args);
	exit(1);
}
