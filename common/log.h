/*
 * log.h - one line per event on stderr, which supervisord or systemd stores.
 *
 * For the start and the long-lived processes; a guest never logs.
 */
#ifndef CELLBLOCK_LOG_H
#define CELLBLOCK_LOG_H

/* Set the name that starts each line ("cellblock-runner"). The string is kept, not copied. */
void log_open(const char *program);

/*
 * From now on a line that would have to wait for the reader of a full pipe is dropped, and the next
 * line says how many were. For a process that must not wait for anybody.
 */
void log_never_wait(void);

/* Write one line, printf-style, with a time stamp, in one write(2). */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Write one line, then exit with status 1. For the start of a program, and for faults that leave no
 * safe way on.
 */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
