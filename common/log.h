/*
 * log.h - one line per event on stderr, which supervisord or systemd keeps.
 *
 * Used before the walls are up and by the long-lived daemons, never by a guest.
 */
#ifndef CELLBLOCK_LOG_H
#define CELLBLOCK_LOG_H

/* Set the name that starts each line ("cellblock-runner"). The string is kept, not copied. */
void log_open(const char *program);

/* Write one line, printf-style, with a time stamp, in one write(2). */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* log_warn, then exit with status 1. For the start of a program, and for what must never be lived through. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
