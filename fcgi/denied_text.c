/* denied_text.c - see denied_text.h. Runs in the worker. */
#define _GNU_SOURCE
#include "denied_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 32
#define HINT_SIZE 160
#define SEARCHED_BYTES 8192 /* of the end of stderr */
#define LAST_LINES 4        /* not indented, that are the last words of a program without a traceback */

/* The use of a call, as far as there is advice about it. */
enum purpose {
	FOR_OTHERS,
	FOR_NETWORK,
	FOR_PROCESSES,
	FOR_DEBUGGING,
};

static const struct {
	const char *call;
	enum purpose purpose;
} purposes[] = {
	{ "socket", FOR_NETWORK },
	{ "connect", FOR_NETWORK },
	{ "clone", FOR_PROCESSES },
	{ "fork", FOR_PROCESSES },
	{ "vfork", FOR_PROCESSES },
	{ "execve", FOR_PROCESSES },
	{ "execveat", FOR_PROCESSES },
	{ "ptrace", FOR_DEBUGGING },
};

/*
 * The words by which a program says that it was not permitted to do something, in lower case: those
 * of libc, of the languages, and of libraries that replace the error of a call by one of their own.
 */
static const struct {
	const char *words;
	enum purpose purpose; /* FOR_OTHERS: of any call */
} complaints[] = {
	{ "operation not permitted", FOR_OTHERS },
	{ "permissionerror", FOR_OTHERS },
	{ "eperm", FOR_OTHERS },
	{ "permission denied", FOR_NETWORK },
	{ "permissiondenied", FOR_NETWORK },
	{ "eacces", FOR_NETWORK },
	{ "address family not supported", FOR_NETWORK },
	{ "eafnosupport", FOR_NETWORK },
	{ "network is unreachable", FOR_NETWORK },
	{ "enetunreach", FOR_NETWORK },
	{ "name resolution", FOR_NETWORK },
	{ "name or service not known", FOR_NETWORK },
	{ "getaddrinfo", FOR_NETWORK },
	{ "eai_again", FOR_NETWORK },
	{ "resolve host", FOR_NETWORK },
	{ "resolve hostname", FOR_NETWORK },
	{ "failed to connect", FOR_NETWORK },
	{ "couldn't connect", FOR_NETWORK },
	{ "unable to connect", FOR_NETWORK },
	{ "unknownhostexception", FOR_NETWORK },
	{ "cannot fork", FOR_PROCESSES },
	{ "can't fork", FOR_PROCESSES },
	{ "fork failed", FOR_PROCESSES },
	{ "couldn't fork", FOR_PROCESSES },
	{ "cannot popen", FOR_PROCESSES },
	{ "cannot run program", FOR_PROCESSES },
};

/*
 * A call without a name is given by its number, signed: programs and strace(1) write -1, not
 * 4294967295.
 */
static void
name_call(uint32_t number, char *name)
{
	int32_t signed_number = (int32_t)number;
	/*
	 * libseccomp's negative numbers are its own, for calls that this architecture does not
	 * have.
	 */
	char *known = signed_number >= 0 ? seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, signed_number) : NULL;

	if (known != NULL)
		snprintf(name, NAME_SIZE, "%s", known);
	else
		snprintf(name, NAME_SIZE, "%" PRId32, signed_number);
	free(known);
}

static enum purpose
purpose_of(const char *name)
{
	for (size_t i = 0; i < sizeof purposes / sizeof purposes[0]; i++) {
		if (strcmp(purposes[i].call, name) == 0)
			return purposes[i].purpose;
	}
	return FOR_OTHERS;
}

static const char *
advise_network(const struct denied_context *context)
{
	if (context->network == NETWORK_LOOPBACK)
		return "this run has a loopback alone, for TCP and UDP";
	if (context->network != NETWORK_NONE)
		return "the network of a run supports TCP only";
	if (context->has_network && context->key_has_network && !context->wants_network)
		return context->has_loopback ? "enable_network asks for a network; network: loopback, for localhost alone" :
		                               "enable_network asks for a network";
	if (context->has_network)
		return context->has_loopback ?
		    "the key of this request has no network; network: loopback asks for localhost alone" :
		    "the key of this request has no network";
	return context->has_loopback ? "no network is configured on this server; network: loopback asks for localhost alone" :
	                               "no network is configured on this server";
}

/* Write advice about a call that was denied; empty if there is none. Returns `hint`. */
static const char *
advise(enum purpose purpose, const struct denied_context *context, char *hint)
{
	hint[0] = '\0';
	if (purpose == FOR_NETWORK)
		snprintf(hint, HINT_SIZE, "%s", advise_network(context));
	else if (purpose == FOR_PROCESSES && context->processes == 1 && context->maximum_processes > 1)
		snprintf(hint, HINT_SIZE, "limits.processes, from 2 to %" PRIu64 ", lets a program start others",
		    context->maximum_processes);
	else if (purpose == FOR_PROCESSES && context->processes == 1)
		snprintf(hint, HINT_SIZE, "this server lets a program start no other");
	return hint;
}

/* Whether a text contains whole words, in any case. */
static bool
contains(const char *text, size_t size, const char *words)
{
	size_t length = strlen(words);

	for (size_t i = 0; i + length <= size; i++) {
		if (tolower((unsigned char)text[i]) == words[0] && strncasecmp(text + i, words, length) == 0 &&
		    (i == 0 || !isalnum((unsigned char)text[i - 1])) &&
		    (i + length == size || !isalnum((unsigned char)text[i + length])))
			return true;
	}
	return false;
}

/* The beginnings of the lines with which runtimes begin to tell why they end. */
static const char *const last_reports[] = {
	"Traceback (most recent call last):",
	"panic: ",
	"fatal error: ",
	"thread '",
	"Exception in thread ",
	"PHP Fatal error: ",
	"Fatal error: ",
};

/* Python: the traceback that follows belongs to the same report. */
static const char *const joints[] = {
	"During handling of the above exception, another exception occurred:",
	"The above exception was the direct cause of the following exception:",
};

static bool
begins(const char *line, size_t size, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (size >= strlen(list[i]) && memcmp(line, list[i], strlen(list[i])) == 0)
			return true;
	}
	return false;
}

/*
 * The offset of the last words in stderr: of the last report of a runtime, or else of the last
 * lines that are not indented.
 */
static size_t
last_words(const char *err, size_t size)
{
	size_t at = size > SEARCHED_BYTES ? size - SEARCHED_BYTES : 0;
	size_t line[LAST_LINES] = { at }, lines = 0, report = SIZE_MAX;
	bool is_joined = false;

	while (at < size) {
		const char *end = memchr(err + at, '\n', size - at);
		size_t next = end == NULL ? size : (size_t)(end + 1 - err);

		if (!isspace((unsigned char)err[at]))
			line[lines++ % LAST_LINES] = at;
		if (begins(err + at, next - at, last_reports, sizeof last_reports / sizeof last_reports[0])) {
			report = is_joined && report != SIZE_MAX ? report : at;
			is_joined = false;
		} else if (begins(err + at, next - at, joints, sizeof joints / sizeof joints[0])) {
			is_joined = true;
		}
		at = next;
	}
	if (report != SIZE_MAX)
		return report;
	return lines > LAST_LINES ? line[lines % LAST_LINES] : size > SEARCHED_BYTES ? size - SEARCHED_BYTES : 0;
}

/* Whether words complain about a call for `purpose`; FOR_OTHERS: about a call of any kind. */
static bool
is_blamed(const char *words, size_t size, enum purpose purpose)
{
	for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
		if (complaints[i].purpose == purpose && contains(words, size, complaints[i].words))
			return true;
	}
	return false;
}

static size_t __attribute__((format(printf, 4, 5))) append(char *text, size_t size, size_t at, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text + at, size - at, format, args);
	va_end(args);
	return n < 0 || (size_t)n >= size - at ? size - 1 : at + (size_t)n;
}

size_t
denied_json(const struct denied_calls *denied, const struct denied_context *context, char *text)
{
	size_t at = append(text, DENIED_JSON_SIZE, 0, "[");

	for (size_t i = 0; i < DENIED_CALLS && denied->call[i].count > 0; i++) {
		char name[NAME_SIZE], hint[HINT_SIZE];

		name_call(denied->call[i].number, name);
		advise(purpose_of(name), context, hint);
		at = append(text, DENIED_JSON_SIZE, at, "%s{\"name\":\"%s\",\"count\":%" PRIu32, i > 0 ? "," : "", name,
		    denied->call[i].count);
		if (hint[0] != '\0')
			at = append(text, DENIED_JSON_SIZE, at, ",\"hint\":\"%s\"", hint);
		at = append(text, DENIED_JSON_SIZE, at, "}");
	}
	return append(text, DENIED_JSON_SIZE, at, "]");
}

void
denied_line(const struct denied_calls *denied, const struct denied_context *context, const char *err, size_t err_size, char *text)
{
	bool blamed[] = { [FOR_OTHERS] = false, [FOR_NETWORK] = false, [FOR_PROCESSES] = false, [FOR_DEBUGGING] = false };
	char hint[HINT_SIZE] = "", last_name[NAME_SIZE];
	size_t at = 0, last = 0, words = last_words(err, err_size);
	enum purpose last_purpose;

	text[0] = '\0';
	if (denied->call[0].count == 0)
		return;
	while (last + 1 < DENIED_CALLS && denied->call[last + 1].count > 0)
		last++;
	name_call(denied->call[last].number, last_name);
	last_purpose = purpose_of(last_name);
	/* A runtime that crashes has itself looked at, and says whether it was permitted to. */
	if (last_purpose == FOR_DEBUGGING && context->by_signal)
		return;
	for (size_t i = 0; i < sizeof blamed / sizeof blamed[0]; i++)
		blamed[i] = is_blamed(err + words, err_size - words, (enum purpose)i);
	/*
	 * Words about any call are about the last one. A process or a connection is often tried in
	 * several ways, by calls of one purpose.
	 */
	blamed[last_purpose] |= blamed[FOR_OTHERS];
	/* Programs that fetch something can be told to be silent: only their exit code tells. */
	blamed[FOR_NETWORK] |= err_size == 0 && !context->by_signal && last_purpose == FOR_NETWORK;
	for (size_t i = 0; i < DENIED_CALLS && denied->call[i].count > 0; i++) {
		enum purpose purpose;
		char name[NAME_SIZE];

		name_call(denied->call[i].number, name);
		purpose = purpose_of(name);
		if (!blamed[purpose] || (purpose == FOR_OTHERS && i != last))
			continue;
		if (hint[0] == '\0')
			advise(purpose, context, hint);
		at = append(text, DENIED_LINE_SIZE, at, "%s%s", at == 0 ? "error: operation not permitted (" : ", ", name);
	}
	if (at == 0)
		return;
	at = append(text, DENIED_LINE_SIZE, at, ")");
	if (hint[0] != '\0')
		at = append(text, DENIED_LINE_SIZE, at, "; %s", hint);
	append(text, DENIED_LINE_SIZE, at, "\\n");
}
