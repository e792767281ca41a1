/* client.h - the workers' connections: their requests, and the answers. */
#ifndef CELLBLOCK_CLIENT_H
#define CELLBLOCK_CLIENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "broker/compile_cache.h"
#include "broker/run.h"
#include "proto.h"

enum client_state {
	CLIENT_IDLE,
	CLIENT_FINDING, /* PROTO_FIND waits until the compiler's identity is known */
	CLIENT_WAITING, /* its run is not answered yet */
};

/* A connected worker, and the one run that it may have. */
struct client {
	struct watch watch;
	pid_t pid; /* of the worker, on the host */
	enum client_state state;
	uint32_t id;            /* of its run */
	struct run run;         /* run.program_fd: what was found or compiled for its next run */
	struct compile_key key; /* of the source that it asked for last */
	char key_name[PROTO_KEY_NAME_SIZE]; /* of the API key of its run; ended by NUL */
	struct client *next;
	struct client *next_finding;
};

/* Take on a worker whose connection is `fd`. */
void client_add(struct broker *broker, int fd, pid_t pid);

/*
 * Answer the connections that have asked for a compiled program, if the identity of the language's
 * compiler is known.
 */
void client_answer_finds(struct broker *broker, struct language *language);

/* Tell the connections that have nothing under way that a newer runner serves: PROTO_MOVED. */
void client_tell_moved(struct broker *broker);

/* Whether a connection waits for an answer. */
bool client_has_work(const struct broker *broker);

/*
 * Receive no more from any connection, so that a worker whose request comes later knows that it was
 * not delivered. Answer all that was delivered: a run that has begun is lost, all others are
 * refused. The queue is empty before this, and the process ends after it.
 */
void client_end_all(struct broker *broker);

#endif
