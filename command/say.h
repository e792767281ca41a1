/*
 * say.h - what the command tells its user on standard error.
 *
 * The texts may have parts that a program or a service has chosen. Control characters in them, by
 * which they could write to other places of a terminal, become "?".
 */
#ifndef CELLBLOCK_SAY_H
#define CELLBLOCK_SAY_H

/* Print one line, printf-style: "cellblock: ...". */
void say_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and exit with the code. */
void say_fatal(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Exit, because there is no memory. */
void say_no_memory(void) __attribute__((noreturn));

/* Replace the control characters of a text by "?". */
void say_clean(char *text);

#endif
