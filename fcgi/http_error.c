/* problem.c - see problem.h. */
#include "http_error.h"

#include <stdarg.h>
#include <stdio.h>

int
http_error_set(struct http_error *problem, int status, const char *format, ...)
{
	va_list args;

	problem->status = status;
	problem->code = -status;
	va_start(args, format);
	vsnprintf(problem->text, sizeof problem->text, format, args);
	va_end(args);
	return -1;
}
