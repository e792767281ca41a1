/*
 * broker.h - all that the broker knows. The broker is pid 1 of the runner's pid namespace, the one
 * process that knows all cells and all runs. It reads nothing that a client or a guest wrote:
 * messages of fixed size come from workers, and descriptors pass through.
 *
 * The files of this directory include this one for the data, and each other only downward:
 *
 *     serve.c         the loop, time, children, the door
 *     drain.c         the end of the broker
 *     dispatch.c      which run gets which cell, and what is armed; once a turn of the loop
 *     client.c  selftest.c  zygotes.c
 *                     workers' connections; the self-test; wardens and zygotes
 *     client_run.c  client_find.c  client_status.c  client_reply.c
 *                     the parts of a connection: its run, its program, questions, answers
 *     cell_run.c      a run in its cell
 *     cell.c          a cell's life
 *     isolation_ns.c  isolation_chroot.c
 *                     the two levels, called through isolation.h
 *     handed_socket.c  cell_network.c
 *                     sockets and networks of cells
 *     language.c  pool.c  run_queue.c  run.c
 *     key_account.c  pace.c  deadline_heap.c
 *     spawn.c  warden_link.c  compiler_id.c  health.c  seccomp_notify.c  compile_cache.c
 *     cgroup.c  cell_env.c  verdict.c  layers.c  loop.h
 *
 * meter.c counts for all of them, and calls none.
 */
#ifndef CELLBLOCK_BROKER_H
#define CELLBLOCK_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "broker/cgroup.h"
#include "broker/compile_cache.h"
#include "broker/drain.h"
#include "broker/handed_socket.h"
#include "broker/key_account.h"
#include "broker/layers.h"
#include "broker/loop.h"
#include "broker/run_queue.h"
#include "broker/seccomp_notify.h"
#include "config.h"
#include "log_limit.h"
#include "metrics.h"

struct cell;
struct client;
struct isolation;
struct language;
struct policy;
struct worker_process;

#define BROKER_WORKER_HASHES 256

struct broker {
	/* Set up by the start. */
	const struct config *config;
	const struct isolation *isolation; /* of the configured level */
	bool single_uid;                   /* no uid but 0 is mapped */
	int landlock_abi;                  /* 0: none */
	struct policy *collector_policy;   /* of the processes that collect the files of runs */
	bool zygote_landlock;              /* around zygotes, too */
	int proc_fd;                       /* level chroot: /proc, where zygotes read about themselves; -1: none */
	uint32_t generation;               /* of the runner, counted from 1; 0: it has no parent */
	int host_fd;                       /* level chroot: the root of the container, of which wardens make trees; -1: none */
	int proc_files_fd;                 /* files that cells have in their /proc (meminfo.h); -1: cells have no /proc */
	unsigned own_processors;           /* that this process may run on */
	unsigned processors;               /* whose time a cell gets; 0: of all that it may run on */
	int no_network_fd;                 /* level namespaces: the empty network namespace of cells without a network; else -1 */
	int handed_fd;                     /* level chroot: the listener of handed_socket.h; -1: none */
	int last_pid_fd;                   /* level namespaces: restarts a cell's pids (renewal.h); -1: no cell is renewed */
	int tasks_fd;                      /* a /proc with the processes of cells (stall.h); -1: there is none */
	int null_fd;                       /* /dev/null */
	struct cgroup_tree cgroup;
	struct layer_list layers;
	struct language *language;
	size_t language_count;
	struct cell *cell;          /* config->cells of them */
	uint64_t memory_most_bytes; /* the most that the memory limits of running cells may be together */

	/* At work. */
	struct loop loop;
	struct watch children; /* SIGCHLD */
	struct watch door;     /* where connections of workers come from */
	struct watch relay;    /* its channel; -1: there is none, or it is down */
	struct key_accounts accounts;
	struct run_queue queue;
	uint32_t running;        /* runs whose guest lives */
	uint32_t reserved;       /* cells that are made for one run */
	bool was_ready;          /* the door was told that all is healthy */
	enum drain drain;        /* whether it comes to its end, and how */
	uint64_t drain_until_us; /* when it ends at the latest */
	uint32_t taken;          /* other cells from RUNNING on, until they are free again */
	bool is_short;           /* of cells: a run waits for one that another pool gives up */
	uint32_t emptying;       /* those of them whose guest has ended: ENDING or RECLAIMING */
	LIST_HEAD(client_list, client) clients;
	LIST_HEAD(worker_list, worker_process) workers[BROKER_WORKER_HASHES]; /* by pid */
	struct compile_cache compile_cache;
	struct seccomp_notify notify;
	struct handed_sockets handed;
	struct log_limit protocol_broken, connected_too_often, no_descriptors;
	struct metrics *metrics;       /* see broker/meter.h */
	int metrics_fd;                /* the same memory, to be handed out */
	char trouble[PROTO_TEXT_SIZE]; /* why the last cell that could not be made could not */
};

/* Whether the runs leave a processor for work that spares another run some time. */
static inline bool
broker_has_processor(const struct broker *broker)
{
	return broker->running < broker->own_processors;
}

#endif
