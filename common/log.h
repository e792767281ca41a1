/*
 * log.h - one line per event on stderr, which supervisord or systemd stores.
 *
 * For the start and the long-lived processes; a guest never logs.
 */
#ifndef CELLBLOCK_LOG_H
#define CELLBLOCK_LOG_H

#include <stddef.h>

/* Set the name that starts each line ("cellblock-runner"). The string is kept, not copied. */
void log_open(const char *program);

/* From now on each line is a JSON object: time, program, pid, level, message, all of them ASCII. */
void log_as_json(void);

/*
 * From now on a line that would have to wait for the reader of a full pipe is dropped, and the next
 * line says how many were. For a process that must not wait for anybody.
 */
void log_never_wait(void);

/* Write a line that is complete, with its line feed, in one write(2). */
void log_write(const char *line, size_t size);

/* Write one line, printf-style, with a time stamp, in one write(2). */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Write one line, then exit with status 1. For the start of a program, and for faults that leave no
 * safe way on.
 */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
