/*
 * http_error.h - the error that answers a request: the HTTP status, and the envelope's code and
 * message.
 */
#ifndef CELLBLOCK_HTTP_ERROR_H
#define CELLBLOCK_HTTP_ERROR_H

#include <stdbool.h>

#define HTTP_ERROR_TEXT_SIZE 512

struct http_error {
	int status;                      /* the HTTP status */
	int code;                        /* of the envelope; negative */
	bool lists_languages;            /* the caller is to add the names of the installed languages */
	char text[HTTP_ERROR_TEXT_SIZE]; /* of the envelope; may be cut, and need not be UTF-8 before it is escaped */
};

/*
 * Set all fields: the text printf-style, and the code that goes with the status. Returns -1, for
 * the caller to return.
 */
int http_error_set(struct http_error *error, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Append to the text, printf-style, as much as fits. */
void http_error_append(struct http_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
