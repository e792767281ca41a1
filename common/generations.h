/*
 * generations.h - the parent of a service's processes, which replaces them without losing a
 * request.
 *
 *     the parent holds the listening socket, and reads signals and reports of a fixed size only
 *       |-- generation 1: processes that serve
 *       `-- generation 2: processes of the program and the configuration that are on the disk now
 *
 * SIGHUP        start a new generation. When all of its processes are ready, the old ones finish
 *               their work and end. If it does not become ready, the old one stays in service.
 * SIGTERM       all processes finish their work and end, then the parent. The listening socket is
 *               closed first.
 * SIGINT, SIGQUIT, a second SIGTERM
 *               the same, without waiting for work.
 *
 * A process that dies is started again, after a pause if it has not lived for a second. At SIGHUP
 * the parent also executes the program on the disk in its own place: the same pid, the same
 * children. So the newest code supervises.
 */
#ifndef CELLBLOCK_GENERATIONS_H
#define CELLBLOCK_GENERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GENERATIONS_FORMAT 1u                    /* of the state that a parent hands to the program it executes */
#define GENERATIONS_CHILD "CELLBLOCK_GENERATION" /* the variable in which a process finds its place */
#define GENERATIONS_STATE "CELLBLOCK_PARENT"     /* the variable with the state */

struct generations {
	const char *name;   /* of what it is a parent, in the log and in the title: "runner" */
	char *const *argv;  /* of this program */
	int listen_fd;      /* the parent's listening socket; ignored by a parent that continues */
	uint32_t processes; /* of a generation; 0: the configuration is bad, and no generation can be started */
	uint64_t drain_ms;  /* how long a process that ends may take for its work */
	uint32_t most;      /* generations that may live at the same time */
	int moved_signal;   /* to a process whose successor is ready */
	int alone_signal;   /* to a process of the generation to which alone new work comes now; 0: none */

	/* Files to look at: a change of one of them asks for a new generation. May be NULL. */
	const char *const *watched;
	size_t watched_count;

	/* The listening socket is about to be closed for good. May be NULL. */
	void (*stop)(void *context);
	/* No process is left in a slot. May be NULL. */
	void (*ended)(void *context, uint32_t slot);
	void *context;
};

/* Whether this process is a parent that has executed itself: generations_run continues its work. */
bool generations_continue(void);

/*
 * Whether this program understands the state that a parent hands over in format `format`, a number
 * as text. A parent asks the new program by its option --can-continue before it executes it.
 */
bool generations_can_continue(const char *format);

/*
 * Be the parent, until a signal ends the service. Returns the exit status: that of the first
 * process if it ended before it was ready, else 0. Dies if a system call fails that must not.
 */
int generations_run(const struct generations *what);

#endif
