/* problem.h - why a request is not carried out: the HTTP status, and the code and the text of the envelope. */
#ifndef CELLBLOCK_PROBLEM_H
#define CELLBLOCK_PROBLEM_H

#define PROBLEM_TEXT_SIZE 512

struct http_error {
	int status;                   /* of HTTP */
	int code;                     /* of the envelope; negative */
	char text[PROBLEM_TEXT_SIZE]; /* of the envelope; may be cut, and need not be UTF-8 before it is escaped */
};

/* Fill it in, printf-style, with the code that goes with the status. Returns -1, for the caller to return. */
int http_error_set(struct http_error *problem, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
