/*
 * broker.h - the broker: pid 1 of the runner's pid namespace, the one process that knows all cells and all runs.
 *
 * One loop, one thread. It never reads what a client or a guest wrote: fixed-size messages come from workers, and
 * descriptors pass through.
 */
#ifndef CELLBLOCK_BROKER_H
#define CELLBLOCK_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "broker/cgroup.h"
#include "broker/compile_cache.h"
#include "config.h"
#include "broker/event.h"
#include "broker/language.h"
#include "broker/layers.h"
#include "proto.h"

#define BROKER_HELD 256 /* answers that can wait */

#define CLIENT_RUN_FDS 4 /* that come with a run */

enum client_state {
	CLIENT_IDLE,
	CLIENT_QUEUED,
	CLIENT_RUNNING,
	CLIENT_COLLECTING, /* what its compiler has made is taken over */
};

/* A connected worker and the one run that it may have. */
struct client {
	struct event event;
	pid_t pid; /* of the worker, on the host */
	enum client_state state;
	struct proto_request request; /* of the run */
	uint32_t pool;                /* of its language, that it takes a cell from */
	int fds[CLIENT_RUN_FDS];      /* its job, stdout, stderr, stdin; the broker's until handed to the guest */
	size_t fd_count;
	int compiled_fd;              /* what its next run is to run; -1: nothing */
	struct compile_key key;      /* of what is being compiled */
	int box_fd;                   /* the tmpfs in which that is; -1: none */
	struct event collected;       /* where the warden answers */
	struct run_result result;     /* of the compiler, meanwhile */
	uint64_t queued_us;
	struct cell *cell;
	uint32_t attack; /* enum attack_kind: of a client of selftest.c */
	struct client *next; /* all clients, or all that have gone */
	struct client *next_queued;
};

enum cell_state {
	CELL_FREE,
	CELL_ARMING,  /* until its guest reports */
	CELL_ARMED,   /* a guest waits for a run */
	CELL_RUNNING,
	CELL_ENDING,  /* until its init is gone, and with it all that was in the cell */
};

/* Why the broker ended a run; not set when it ended by itself. */
enum cell_end {
	END_ITSELF,
	END_WALL,
	END_CPU,
	END_CLIENT_GONE,
	END_OUTPUT,
	END_DISK,
};

struct cell {
	uint32_t number;
	enum cell_state state;
	struct language *language;
	uint32_t pool; /* of the language */
	struct selftest *test; /* which it is made for; NULL: for runs */
	struct cell *next_armed;
	struct event control; /* until the run is handed over */
	struct event init;    /* pidfd of the cell's init; waited for only at the end. At level chroot: its keeper, always */
	pid_t guest_pid;      /* our child; 0: none, or not known yet */
	int init_fd; /* until it is waited for */
	int box_fd;  /* its working directory */
	int link_fd; /* to the relay, if it has a network by that; all that the relay has of it ends when this is closed */
	uint32_t tree; /* level chroot: the one of its language's that it has */
	struct cgroup_cell cgroup;

	struct client *client; /* NULL: nobody waits for the result any more */
	struct run_limits limits;
	enum cell_end end;
	uint64_t state_us; /* since when it is in its state */
	int wait_status;      /* of the guest, when it has ended */
	struct rusage usage;  /* likewise */
	uint64_t ended_us;
	uint64_t spawn_us;
	uint64_t cpu_base_us;
	uint64_t oom_base;
	uint64_t fork_base;
	uint64_t processes_base;
	uint64_t memory_base; /* file pages that the group is still charged for */
	uint64_t check_us; /* when to look at its deadlines next */
	struct denied_calls denied;
};

/* An answer to a refused call that its run has to wait for; see denied.h. */
struct held_answer {
	int fd; /* the listener */
	uint64_t id;
};

/* What workers did, and the log says once in a while. */
struct log_limit {
	uint64_t said_us; /* 0: never */
	uint64_t unsaid;  /* since then */
};

struct broker {
	const struct config *config;
	bool single_uid; /* no uid but 0 is mapped */
	int landlock_abi; /* 0: none */
	bool zygote_landlock; /* around zygotes, too */
	int proc_fd;     /* level chroot: /proc, for what its zygotes want to know of themselves */
	int host_fd;     /* level chroot: the root of the container, of which wardens make trees; -1: none */
	int epoll_fd;
	struct event children; /* SIGCHLD */
	struct event door;     /* where connections of workers come from */
	struct event relay;    /* its channel; no descriptor: there is none, or it is down */
	int no_network_fd;     /* the empty network namespace, where this process itself is in the host's; else -1 */
	struct cgroup_tree cgroup;
	struct layer_list layers;
	struct language *language;
	size_t language_count;
	struct cell *cell;
	struct compile_cache compiled;
	struct client *clients;
	struct client *gone; /* whose connections are closed; freed at the end of the loop's turn */
	struct log_limit protocol_broken;
	struct log_limit connected_too_often;
	struct client *queue, **queue_tail;
	uint32_t queued;
	uint32_t running;
	struct held_answer held[BROKER_HELD];
	size_t held_count;
	uint64_t held_until_us;
	uint64_t wake_us; /* when something is due */
	char trouble[PROTO_TEXT_SIZE]; /* why the last cell that could not be made could not */
};

/*
 * Serve until the door closes. Everything in *broker from config to language is set up by the caller; `door_fd` is
 * where workers' connections arrive. Returns the exit status.
 */
int broker_serve(struct broker *broker, int door_fd);

/* Have the loop look at deadlines at `at_us` or earlier. */
void broker_wake_at(struct broker *broker, uint64_t at_us);

/* A zygote's report on how it came up can be read. */
void broker_zygote_reported(struct broker *broker, struct event *event, uint32_t events);

/* Give waiting runs to armed cells, and arm what is wanted. Called after whatever may have changed either. */
void broker_dispatch(struct broker *broker);

/* Answer all runs that wait for a pool: its cells cannot be made. */
void broker_give_up(struct broker *broker, const struct pool *pool);

/* Whether runs can be served, with a reason in `state` if not. */
void broker_state(const struct broker *broker, struct proto_state *state);

#endif
