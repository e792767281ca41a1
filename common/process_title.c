/*
 * process_title.c - see process_title.h. Linked into our programs and into the objects that
 * interpreters load.
 *
 * The kernel shows the memory where execve(2) put the arguments, so this overwrites it. glibc
 * passes main()'s arguments to constructors, in shared objects too. The constructor gives main()
 * copies of the arguments before main() reads them. Python loads its extension later, after it has
 * copied the arguments itself.
 */
#define _GNU_SOURCE
#include "process_title.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PREFIX "cellblock: "
#define TITLE_SIZE 64

static char *area;      /* the arguments, and unset variables behind them; NULL: none */
static char *arguments; /* a copy of them: those that main() gets */
static size_t arguments_bytes;
static char *area_end;
static char *environment_end; /* the end of the variables, which follow the arguments */
static size_t dirty_bytes;    /* of the area: the arguments, then the last title */

/* The end of those strings of `list` that lie one behind the other from `at` on. */
static char *
end_of_strings(char *const *list, char *at)
{
	for (; *list == at; list++)
		at += strlen(at) + 1;
	return at;
}

static void
move(char **pointer, char *copy)
{
	if (*pointer >= area && *pointer < area_end)
		*pointer = copy + (*pointer - area);
}

/* Before the constructors that set a title. */
static void __attribute__((constructor(101))) find_area(int argc, char **argv, char **env)
{
	char *copy;

	if (argc < 1 || argv == NULL || env == NULL)
		return;
	area_end = end_of_strings(argv, argv[0]);
	dirty_bytes = (size_t)(area_end - argv[0]);
	environment_end = end_of_strings(env, area_end);
	copy = malloc((size_t)(area_end - argv[0]));
	if (copy == NULL)
		return;
	area = argv[0];
	arguments = copy;
	arguments_bytes = dirty_bytes;
	/*
	 * One block, as before: libuv and Perl take the first and the last argument for the ends of
	 * one.
	 */
	memcpy(copy, area, (size_t)(area_end - area));
	for (int i = 0; i < argc; i++)
		move(&argv[i], copy);
	move(&program_invocation_name, copy);
	move(&program_invocation_short_name, copy);
}

static bool
is_variable(const char *entry)
{
	for (char *const *variable = environ; variable != NULL && *variable != NULL; variable++) {
		if (*variable == entry)
			return true;
	}
	return false;
}

/*
 * Add the variables behind the arguments that have been unset. The kernel also shows a title that
 * is longer than the arguments.
 */
static void
extend_area(void)
{
	while (area_end < environment_end && !is_variable(area_end)) {
		area_end += strlen(area_end) + 1;
		dirty_bytes = (size_t)(area_end - area);
	}
}

/* Show `size` bytes of text, the last a NUL, or as much of it as there is room for. */
static void
show(const char *text, size_t size)
{
	size_t room = (size_t)(area_end - area);

	if (size > room)
		size = room;
	memcpy(area, text, size);
	area[size - 1] = '\0';
	/*
	 * Write no more than necessary: a forked process gets a copy of each page that it writes.
	 */
	if (size < dirty_bytes)
		memset(area + size, 0, dirty_bytes - size);
	dirty_bytes = size;
}

void
process_title_set(const char *format, ...)
{
	char title[TITLE_SIZE] = PREFIX;
	va_list args;

	va_start(args, format);
	vsnprintf(title + strlen(PREFIX), sizeof title - strlen(PREFIX), format, args);
	va_end(args);
	prctl(PR_SET_NAME, title + strlen(PREFIX), 0, 0, 0);
	if (area == NULL)
		return;
	extend_area();
	show(title, strlen(title) + 1);
}

void
process_title_stand_in(const char *word)
{
	char *last = arguments;

	for (char *at = arguments; at != NULL && at < arguments + arguments_bytes; at += strlen(at) + 1)
		last = at;
	if (last != NULL && strlen(last) == strlen(word))
		strcpy(last, word);
}

void
process_title_restore(void)
{
	const char *slash = arguments == NULL ? NULL : strrchr(arguments, '/');

	if (arguments == NULL)
		return;
	prctl(PR_SET_NAME, slash == NULL ? arguments : slash + 1, 0, 0, 0);
	show(arguments, arguments_bytes);
}
