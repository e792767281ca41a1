/* client.h - the workers' connections: their requests, and the answers. */
#ifndef CELLBLOCK_CLIENT_H
#define CELLBLOCK_CLIENT_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "broker/compile_cache.h"
#include "broker/key_account.h"
#include "broker/run.h"
#include "proto.h"

enum client_state {
	CLIENT_IDLE,
	CLIENT_FINDING, /* PROTO_FIND waits until the compiler's identity is known */
	CLIENT_WAITING, /* its run is not answered yet */
};

/* A process of workers: each of its threads has a connection. */
struct worker_process {
	pid_t pid; /* on the host */
	uint32_t connections;
	LIST_ENTRY(worker_process) in_hash;
};

/* A connection of a worker, and the one run that it may have. */
struct client {
	struct watch watch;
	struct worker_process *worker;
	enum client_state state;
	uint32_t id;                 /* of its run */
	struct run run;              /* run.program_fd: what was found or compiled for its next run */
	struct key_account *account; /* of its request, held until the answer; else NULL */
	struct compile_key key;      /* of the source that it asked for last */
	bool is_over_rate;           /* when it asked for that, its key had no request left */
	LIST_ENTRY(client) in_all;
	struct client *next_finding;
};

/* Take on a connection `fd` of the worker process `pid`. */
void client_add(struct broker *broker, int fd, pid_t pid);

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
