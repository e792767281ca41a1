/* http_error.c - see http_error.h. */
#include "http_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
http_error_set(struct http_error *error, int status, const char *format, ...)
{
	va_list args;

	error->status = status;
	error->code = -status;
	error->lists_languages = false;
	va_start(args, format);
	vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	return -1;
}

void
http_error_append(struct http_error *error, const char *format, ...)
{
	size_t at = strlen(error->text);
	va_list args;

	va_start(args, format);
	vsnprintf(error->text + at, sizeof error->text - at, format, args);
	va_end(args);
}
