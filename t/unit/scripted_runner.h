/*
 * scripted_runner.h - a runner for the tests of a worker: it listens on a socket, and a thread of
 * it answers as a script says.
 *
 * It also checks each request: its kind, its flags, its share, and the time for which it waited.
 */
#ifndef CELLBLOCK_SCRIPTED_RUNNER_H
#define CELLBLOCK_SCRIPTED_RUNNER_H

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "run.h"

#define DIGEST 77         /* of the worker's configuration, which has two languages */
#define OUTPUT_BYTES 1000 /* the limit of a compiler and of a program */
#define KEY_NAME "key"    /* of the client's share */
#define WAITED_US 7       /* of the client, before its run begins */
#define RATE_LEFT 4       /* of the client's account, as progress tells it */

/* A step of the runner. */
enum step {
	END,              /* of the script */
	CONNECT,          /* the worker connects */
	FIND,             /* PROTO_FIND: not found */
	FIND_HIT,         /* PROTO_FIND: found */
	FIND_LATE,        /* PROTO_FIND: not found, after the time in which other questions are answered */
	COMPILE,          /* PROTO_COMPILE: the compiler succeeds */
	COMPILE_BIG,      /* the same, and its output, over the limit, is in the pipe at the result */
	RUN,              /* PROTO_RUN: the program succeeds */
	RUN_KEPT,         /* PROTO_RUN: the program writes and succeeds, and its pipes stay open */
	RUN_BUSY,         /* PROTO_RUN: refused */
	RUN_TOLD,         /* PROTO_RUN: its progress is told, then it writes, and succeeds when that was passed on */
	COMPILE_TOLD,     /* PROTO_COMPILE: the same without a start */
	COMPILE_STARTS,   /* PROTO_COMPILE: a start is told, which a compilation has not */
	RUN_TOLD_UNASKED, /* PROTO_RUN: its progress is told, though nobody wants to know */
	RUN_DIE,          /* PROTO_RUN: taken, and the connection ends */
	RUN_SILENT,       /* PROTO_RUN: taken, and not answered */
	MOVE,             /* the runner says that a newer one serves */
	MOVED_TO,         /* the worker connects to the newer one, which has the same configuration, and leaves the older */
	MOVED_OTHER,      /* the same, but the configuration is another */
	HANG_UP,          /* the runner closes the connection */
	GO,               /* the worker waits in memfd_create(2) until the script is here */
	GONE,             /* the worker closes the connection */
};

extern struct scripted_runner {
	uint64_t queue_ms; /* of the client: each request must have it */
	sem_t go;          /* GO posts it; RUN_TOLD waits for it after the output */
	int kept[4];       /* the descriptors of RUN_KEPT, which the test closes */
} scripted_runner;

/*
 * Listen in a new directory. `performed` must last: it is the run that the worker performs when a
 * request comes. Returns the path of the socket, which is static.
 */
char *scripted_runner_listen(const struct run *performed);

/* Close the socket, and remove the directory. */
void scripted_runner_close(void);

/*
 * Follow these steps in a thread until scripted_runner_end; they must last. With `waits_for_go` the
 * worker's memfd_create(2) waits for a GO, each time.
 */
void scripted_runner_begin(const enum step *steps, bool waits_for_go);

/* Wait until the script is at its end. Asserts that the worker has followed it. */
void scripted_runner_end(void);

/* Whether the descriptor becomes readable within 3 s. */
bool scripted_runner_readable(int fd);

#endif
