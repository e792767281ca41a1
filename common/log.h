/*
 * log.h - one line per event on stderr, which supervisord or systemd stores.
 *
 * For the start and the long-lived processes; a guest never logs.
 */
#ifndef CELLBLOCK_LOG_H
#define CELLBLOCK_LOG_H

/* Set the name that starts each line ("cellblock-runner"). The string is kept, not copied. */
void log_open(const char *program);

/* Write one line, printf-style, with a time stamp, in one write(2). */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Write one line, then exit with status 1. For the start of a program, and for faults that leave no
 * safe way on.
 */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
