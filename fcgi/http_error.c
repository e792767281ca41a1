/* http_error.c - see http_error.h. */
#include "http_error.h"

#include <stdarg.h>
#include <stdio.h>

int
http_error_set(struct http_error *error, int status, const char *format, ...)
{
	va_list args;

	error->status = status;
	error->code = -status;
	va_start(args, format);
	vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	return -1;
}
