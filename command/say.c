/* say.c - see say.h. */
#define _GNU_SOURCE
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "exit_codes.h"

void
say_clean(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
		if (*at < ' ' || *at == 0x7f)
			*at = '?';
		else if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
			at[0] = at[1] = '?'; /* U+0080 to U+009F: terminals obey some of them */
	}
}

static void __attribute__((format(printf, 1, 0))) print(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		return;
	say_clean(text);
	fprintf(stderr, "cellblock: %s\n", text);
	free(text);
}

void
say_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(format, args);
	va_end(args);
}

void
say_fatal(int exit_code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(format, args);
	va_end(args);
	exit(exit_code);
}

void
say_no_memory(void)
{
	say_fatal(EXIT_USE, "out of memory");
}
