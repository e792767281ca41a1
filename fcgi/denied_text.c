/* denied_text.c - see denied_text.h. Runs in the worker. */
#define _GNU_SOURCE
#include "denied_text.h"

#include <inttypes.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 32

#define ASK_FOR_NETWORK "enable_network asks for a network, if the operator has configured one"
#define ASK_FOR_PROCESSES "limits.processes above 1 lets a program start others, if the operator allows it"

/* Advice for a client, by call. There is none for all other calls. */
static const struct {
	const char *call;
	const char *hint;
	const char *networked; /* the advice for a run that had a network */
} hints[] = {
	{ "socket", ASK_FOR_NETWORK, "the network of a run supports TCP only" },
	{ "connect", ASK_FOR_NETWORK, NULL },
	{ "clone", ASK_FOR_PROCESSES, ASK_FOR_PROCESSES },
	{ "fork", ASK_FOR_PROCESSES, ASK_FOR_PROCESSES },
	{ "vfork", ASK_FOR_PROCESSES, ASK_FOR_PROCESSES },
	{ "execve", ASK_FOR_PROCESSES, ASK_FOR_PROCESSES },
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

static const char *
find_hint(const char *name, enum network network)
{
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
		if (strcmp(hints[i].call, name) == 0)
			return network == NETWORK_NONE ? hints[i].hint : hints[i].networked;
	}
	return NULL;
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
denied_json(const struct denied_calls *denied, enum network network, char *text)
{
	size_t at = append(text, DENIED_JSON_SIZE, 0, "[");

	for (size_t i = 0; i < DENIED_CALLS && denied->call[i].count > 0; i++) {
		char name[NAME_SIZE];
		const char *hint;

		name_call(denied->call[i].number, name);
		hint = find_hint(name, network);
		at = append(text, DENIED_JSON_SIZE, at, "%s{\"name\":\"%s\",\"count\":%" PRIu32, i > 0 ? "," : "", name,
		    denied->call[i].count);
		if (hint != NULL)
			at = append(text, DENIED_JSON_SIZE, at, ",\"hint\":\"%s\"", hint);
		at = append(text, DENIED_JSON_SIZE, at, "}");
	}
	return append(text, DENIED_JSON_SIZE, at, "]");
}

void
denied_line(const struct denied_calls *denied, enum network network, char *text)
{
	const char *hint = NULL;
	size_t at;

	text[0] = '\0';
	if (denied->call[0].count == 0)
		return;
	at = append(text, DENIED_LINE_SIZE, 0, "error: operation not permitted (");
	for (size_t i = 0; i < DENIED_CALLS && denied->call[i].count > 0; i++) {
		char name[NAME_SIZE];

		name_call(denied->call[i].number, name);
		if (hint == NULL)
			hint = find_hint(name, network);
		at = append(text, DENIED_LINE_SIZE, at, "%s%s", i > 0 ? ", " : "", name);
	}
	at = append(text, DENIED_LINE_SIZE, at, ")");
	if (hint != NULL)
		at = append(text, DENIED_LINE_SIZE, at, "; %s", hint);
	append(text, DENIED_LINE_SIZE, at, "\\n");
}
