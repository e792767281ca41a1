/* serve.h - the broker's loop. */
#ifndef CELLBLOCK_SERVE_H
#define CELLBLOCK_SERVE_H

struct broker;

/*
 * Serve until the door closes `door_fd`, where workers' connections arrive. The first half of
 * *broker is set up by the caller. Never returns: exits with status 0, and every cell ends with the
 * process.
 */
void serve(struct broker *broker, int door_fd) __attribute__((noreturn));

#endif
