/*
 * proto.h - what a worker and the runner say to each other.
 *
 * A SOCK_SEQPACKET connection per worker. Every message is one struct of fixed size; a message of any other size
 * costs the sender its connection. The worker sends struct proto_request, the runner struct proto_reply.
 *
 * Right after the connection is made the runner sends a PROTO_WELCOME. From then on the worker asks and the runner
 * answers, one answer to each question: PROTO_RUN and PROTO_COMPILE are answered by PROTO_RESULT or PROTO_REFUSED, the
 * questions by a reply of their own kind. A worker has at most one run at a time. PROTO_CANCEL has no answer of its own: the run
 * that it names ends, and its PROTO_RESULT says so (a PROTO_CANCEL that crosses a PROTO_RESULT is ignored).
 *
 * A compiled language takes two steps. PROTO_FIND asks for what an earlier PROTO_COMPILE of the same source came to; if
 * there is none, and only then, PROTO_COMPILE makes it. Either way it is then held for this connection, and its next PROTO_RUN runs it.
 */
#ifndef CELLBLOCK_PROTO_H
#define CELLBLOCK_PROTO_H

#include "run_limits.h"

#define PROTO_VERSION 4u
#define PROTO_NAME_SIZE 32
#define PROTO_TEXT_SIZE 192
#define PROTO_DIGEST_SIZE 32

enum proto_kind {
	/* to the runner */
	PROTO_RUN = 1,  /* with 3 or 4 descriptors: job memfd (job.h), stdout, stderr, and stdin unless it is empty */
	PROTO_FIND,     /* has the source with `digest` been compiled for language `index`? */
	PROTO_COMPILE,  /* with 3 descriptors: job memfd, stdout, stderr */
	PROTO_CANCEL,   /* end run `id`; `cancel` says why */
	PROTO_LANGUAGE, /* how is language `index`? */
	PROTO_LAYER,    /* how is layer `index`? (its `name` is empty past the last one) */
	PROTO_STATE,    /* is the runner fit to serve? */
	/* to the worker */
	PROTO_WELCOME,
	PROTO_RESULT,
	PROTO_REFUSED,
};

enum proto_cancel {
	CANCEL_CLIENT_GONE = 1, /* verdict: VERDICT_CANCELLED */
	CANCEL_OUTPUT_LIMIT,    /* verdict: VERDICT_OUTPUT_LIMIT */
};

enum proto_run_flag {
	RUN_NETWORK = 1u << 0, /* the client asked for the configured network */
	RUN_ARGUED = 1u << 1,  /* the job has arguments or environment, which some interpreters take only when they start */
};

/* How a run ended. The order is that of API.md; the names are in proto_names.c. */
enum verdict {
	VERDICT_OK,
	VERDICT_EXIT,
	VERDICT_SIGNAL,
	VERDICT_TIMEOUT,
	VERDICT_CPU_LIMIT,
	VERDICT_MEMORY_LIMIT,
	VERDICT_OUTPUT_LIMIT,
	VERDICT_PROCESS_LIMIT,
	VERDICT_DISK_LIMIT,
	VERDICT_DENIED,
	VERDICT_COMPILE_ERROR,
	VERDICT_CANCELLED,
	VERDICT_COUNT
};

enum refusal {
	REFUSED_BUSY = 1,    /* the queue is full, or no cell came free in time */
	REFUSED_UNAVAILABLE, /* the language has no working interpreter now */
	REFUSED_MISSING,     /* the language's interpreter is not installed */
	REFUSED_FAULT,       /* a cell could not be made, or died before it took the run; the runner's log says why */
	REFUSED_MALFORMED,   /* the worker's message broke the rules above */
};

/* How a language's programs are started. */
enum start_kind {
	START_ZYGOTE, /* forked from a warm interpreter */
	START_SPARE,  /* by an interpreter that was started ahead and waits for one program */
	START_COLD,   /* by an interpreter, or as a program, that is started for it */
};

/* How a cell is walled in: by all that the kernel has, or by what is left in a plain container. */
enum level {
	LEVEL_NAMESPACES,
	LEVEL_CHROOT,
};

enum network {
	NETWORK_NONE,
	NETWORK_PROXY,
	NETWORK_HOST,
};

struct proto_request {
	uint32_t kind;
	uint32_t id;     /* PROTO_RUN, PROTO_COMPILE: chosen by the worker; PROTO_CANCEL: the run meant */
	uint32_t index;  /* a language (the order of the configuration) or a layer */
	uint32_t warm;   /* PROTO_RUN: which of the language's warm sets suits the program best; a hint */
	uint32_t flags;  /* PROTO_RUN: enum proto_run_flag */
	uint32_t cancel; /* PROTO_CANCEL: enum proto_cancel */
	uint32_t proxy;  /* PROTO_RUN: which of the configured ones, where there are any */
	uint32_t reserved;
	struct run_limits limits; /* PROTO_RUN; a compiler's are the configuration's */
	uint8_t digest[PROTO_DIGEST_SIZE]; /* PROTO_FIND, PROTO_COMPILE: of the source */
};

/* A system call that was refused, by its number on this architecture. */
struct denied_call {
	uint32_t number;
	uint32_t count; /* 0: none */
};

#define DENIED_CALLS 12 /* different ones that are told */

struct denied_calls {
	struct denied_call call[DENIED_CALLS]; /* in the order in which they were first made */
	uint64_t total;                        /* others included */
};

struct run_result {
	uint32_t verdict;   /* enum verdict */
	int32_t exit_code;  /* the program's own; -1 when a signal or a limit ended it */
	int32_t signal;     /* 0, or the signal that ended it */
	uint32_t network;   /* enum network: what the run really had */
	uint32_t processes_peak; /* 0 where the host cannot tell */
	uint32_t reserved;
	uint64_t wall_us;   /* from the moment the guest was given the code to its end */
	uint64_t cpu_us;
	uint64_t queue_us;  /* waited for a cell */
	uint64_t spawn_us;  /* from having a cell to the code being handed over */
	uint64_t memory_peak_bytes;
	struct denied_calls denied;
};

struct proto_welcome {
	uint32_t version;       /* PROTO_VERSION */
	uint32_t languages;     /* how many are configured */
	uint64_t config_digest; /* config_digest() of the runner's; a worker with another one must restart */
	uint32_t level;         /* enum level: what is in force */
};

struct proto_language {
	uint32_t available; /* bool */
	uint32_t start;     /* enum start_kind: what is in force, which may be less than what is configured */
	char version[PROTO_NAME_SIZE];
	char reason[PROTO_TEXT_SIZE]; /* why it is not available, or not as it is configured; else empty */
};

struct proto_layer {
	uint32_t required; /* bool */
	uint32_t in_force; /* bool */
	char name[PROTO_NAME_SIZE];
	char detail[PROTO_TEXT_SIZE];
};

struct proto_state {
	uint32_t healthy; /* bool: every required layer in force and every available language has a live zygote */
	uint32_t running; /* runs at this moment */
	uint32_t queued;
	uint32_t armed;   /* cells that wait for a run */
	char reason[PROTO_TEXT_SIZE]; /* why it is not healthy; else empty */
};

struct proto_reply {
	uint32_t kind;
	uint32_t id; /* PROTO_RESULT, PROTO_REFUSED: the run's */
	union {
		struct proto_welcome welcome;
		struct run_result result;
		uint32_t refusal; /* enum refusal */
		uint32_t found; /* PROTO_FIND: bool */
		struct proto_language language;
		struct proto_layer layer;
		struct proto_state state;
	} u;
};

/* The name of a verdict as in API.md ("memory_limit"). Never NULL. */
const char *proto_verdict_name(enum verdict v);

/* The name of a kind of start as in API.md ("zygote"). Never NULL. */
const char *proto_start_name(enum start_kind s);

/* The name of a level as in API.md ("chroot"). Never NULL. */
const char *proto_level_name(enum level l);

/* The name of a network mode as in API.md ("none", "proxy", "host"). Never NULL. */
const char *proto_network_name(enum network n);

#endif
