/*
 * proto.h - the messages between a worker and the runner.
 *
 * There is one SOCK_SEQPACKET connection per thread of a worker. Every message is one struct of
 * fixed size; a message of any other size costs the sender its connection. The worker sends struct
 * proto_request, the runner struct proto_reply.
 *
 * When a connection is made the runner sends PROTO_WELCOME. From then on the runner sends one reply
 * to each request: PROTO_RESULT or PROTO_REFUSED to PROTO_RUN and PROTO_COMPILE, and a reply of the
 * same kind to the others. A connection has at most one run at a time. PROTO_CANCEL has no reply of
 * its own: the run that it names ends, and its PROTO_RESULT reports it. A PROTO_CANCEL that crosses
 * a PROTO_RESULT is ignored.
 *
 * A run of a compiled language takes two steps. PROTO_FIND asks for the result of an earlier
 * PROTO_COMPILE of the same source. If there is none, and only then, PROTO_COMPILE compiles the
 * source. Either way the runner then holds the program for this connection, whose next request must
 * be the PROTO_RUN of it, or another PROTO_FIND, which drops the program. PROTO_FIND also finds
 * what another connection holds at that time for the same key and source.
 *
 * PROTO_MOVED is the one message that the runner sends without a request: a newer runner serves on
 * the same path. A thread that has no run under way connects again then; one that has a run gets
 * its result first. The runner sends it at any time, so it may cross a request, which is served.
 *
 * A run with RUN_EVENTS has PROTO_PROGRESS as well, before its answer: PROGRESS_QUEUED when the
 * runner has accepted it, and PROGRESS_STARTED when a guest has it. A compilation with RUN_EVENTS
 * has only the first.
 */
#ifndef CELLBLOCK_PROTO_H
#define CELLBLOCK_PROTO_H

#include "run_limits.h"

#define PROTO_VERSION 10u
#define PROTO_NAME_SIZE 32
#define PROTO_KEY_NAME_SIZE 64
#define PROTO_TEXT_SIZE 192
#define PROTO_DIGEST_SIZE 32
#define PROTO_MORE_CONNECTIONS 8 /* of a worker process, besides one for each of its threads */

enum proto_kind {
	/* to the runner */
	/*
	 * With 3 to 6 descriptors: job memfd (job.h), stdout, stderr; stdin, a pipe, unless it is
	 * empty; the patterns of the files to collect (collection.h), if RUN_COLLECT is set; and
	 * the pack (job.h), if RUN_PACK is set.
	 */
	PROTO_RUN = 1,
	PROTO_FIND,     /* has the source with `digest` been compiled for language `index`? */
	PROTO_COMPILE,  /* with 3 or 4 descriptors: job memfd, stdout, stderr; and the pack, if RUN_PACK is set */
	PROTO_CANCEL,   /* end run `id`; `cancel` says why */
	PROTO_LANGUAGE, /* the state of language `index` */
	PROTO_LAYER,    /* the state of layer `index`; past the last one its `name` is empty */
	PROTO_STATE,    /* is the runner ready to serve? */
	PROTO_METRICS,  /* its figures: the reply comes with a memfd of struct metrics (metrics.h), to be mapped for reading */
	/* to the worker */
	PROTO_WELCOME,
	PROTO_RESULT, /* with the collected files (collection.h), if RUN_COLLECT was set, unless they could not be collected */
	PROTO_REFUSED,
	PROTO_MOVED,
	PROTO_PROGRESS, /* how far a run with RUN_EVENTS is; its answer is still to come */
};

enum proto_cancel {
	CANCEL_CLIENT_GONE = 1, /* verdict: VERDICT_CANCELLED */
	CANCEL_OUTPUT_LIMIT,    /* verdict: VERDICT_OUTPUT_LIMIT */
};

enum proto_run_flag {
	RUN_NETWORK = 1u << 0,  /* the client asked for the configured network */
	RUN_LOOPBACK = 1u << 2, /* the client asked for a loopback of the run's own; RUN_NETWORK does not matter then */
	RUN_COLD = 1u << 4,     /* the program begins with another file than the main file of the language */
	RUN_COLLECT = 1u << 3,  /* files are to be collected at the end */
	RUN_ARGUED = 1u << 1,   /* the job has arguments or environment, for which some interpreters must start anew */
	RUN_EVENTS = 1u << 9,   /* PROTO_PROGRESS is wanted; of PROTO_COMPILE, too */
	RUN_PACK = 1u << 10,    /* files of the job are in a pack; of PROTO_COMPILE, too */
};

/* How a run ended, in the order of API.md. The names are in proto_names.c. */
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
	REFUSED_BUSY = 1,    /* the queue is full, or no cell can become free in time */
	REFUSED_UNAVAILABLE, /* the language has no working interpreter now */
	REFUSED_MISSING,     /* the language's interpreter is not installed */
	REFUSED_FAULT,       /* no cell could be made, or it died before it took the run; the runner's log says why */
	REFUSED_MALFORMED,   /* the worker's message violated the rules above */
	REFUSED_RATE,        /* the key has more requests per second than it may */
	REFUSED_SHARE,       /* the key has as many runs waiting as it may */
	REFUSED_STOPPING,    /* the runner stops or is replaced, and the run had not begun */
	REFUSED_LOST,        /* the run had begun, and its result is lost */
	REFUSED_TOO_LARGE,   /* it may use more memory than all runs may have together */
};

/* How a language's programs are started. */
enum start_kind {
	START_ZYGOTE, /* forked from a warm interpreter */
	START_SPARE,  /* by an interpreter that was started in advance and waits for one program */
	START_COLD,   /* by an interpreter, or as a program, that is started for the run */
};

/* The layers of a cell: namespaces and all others, or those that a plain container allows. */
enum level {
	LEVEL_NAMESPACES,
	LEVEL_CHROOT,
};

enum network {
	NETWORK_NONE,
	NETWORK_PROXY,
	NETWORK_HOST,
	NETWORK_LOOPBACK, /* of a run only: no mode of the configuration */
};

/*
 * The share of the service that a key may have. The worker fills it in from the key's file; the
 * runner keeps the account of each name.
 */
struct run_share {
	char name[PROTO_KEY_NAME_SIZE]; /* of the key, ended by NUL */
	uint32_t weight;                /* of the key among those whose runs wait; at least 1 */
	uint32_t running;               /* the most runs at the same time; 0: all cells but the reserve */
	uint32_t waiting;               /* the most runs in the queue; 0: none, and UINT32_MAX: as many as fit */
	uint32_t rate;                  /* requests per second; 0: no limit */
	uint32_t burst;                 /* requests above the rate that are taken at once */
	uint32_t reserved;
};

struct proto_request {
	uint32_t kind;
	uint32_t id;                       /* PROTO_RUN, PROTO_COMPILE: chosen by the worker; PROTO_CANCEL: that of the run */
	uint32_t index;                    /* of a language, in the configuration's order, or of a layer */
	uint32_t warm;                     /* PROTO_RUN: the language's warm set that suits the program best; a hint */
	uint32_t flags;                    /* PROTO_RUN: enum proto_run_flag; PROTO_COMPILE: RUN_EVENTS and RUN_PACK alone */
	uint32_t cancel;                   /* PROTO_CANCEL: enum proto_cancel */
	uint32_t proxy;                    /* PROTO_RUN: index of a configured proxy, if there are any */
	uint32_t pair;                     /* PROTO_RUN: the same number as the run of its key with which it starts; 0: alone */
	uint64_t queue_ms;                 /* PROTO_RUN, PROTO_COMPILE: the longest wait; 0: that of the configuration */
	uint64_t waited_us;                /* the same: how long the request has waited before it came here */
	struct run_limits limits;          /* PROTO_RUN; PROTO_COMPILE can lower wall_ms, cpu_ms and memory_bytes */
	uint8_t digest[PROTO_DIGEST_SIZE]; /* PROTO_FIND, PROTO_COMPILE: of the key's name and the source */
	struct run_share share;            /* PROTO_RUN, PROTO_FIND, PROTO_COMPILE */
};

/* A denied system call, by its number on this architecture. */
struct denied_call {
	uint32_t number;
	uint32_t count; /* 0: none */
};

#define DENIED_CALLS 12 /* different calls that are reported */

struct denied_calls {
	struct denied_call call[DENIED_CALLS]; /* in the order of the last attempts: that of the end last */
	uint64_t total;                        /* of all calls */
};

struct run_result {
	uint32_t verdict;        /* enum verdict */
	int32_t exit_code;       /* the program's own; -1 when a signal or a limit ended it */
	int32_t signal;          /* 0, or the signal that ended it */
	uint32_t network;        /* enum network: the one that the run really had */
	uint32_t processes_peak; /* 0: not known */
	uint32_t inodes_full;    /* bool: VERDICT_DISK_LIMIT for want of inodes, not of bytes */
	uint64_t wall_us;        /* from handing the code to the guest to its end */
	uint64_t cpu_us;
	uint64_t queue_us; /* the wait for a cell */
	uint64_t spawn_us; /* from having a cell to handing the code over */
	uint64_t memory_peak_bytes;
	struct denied_calls denied;
	uint64_t stall_us;    /* that it waited for a processor, if it met wall_ms; 0: none, or it did not meet it */
	uint32_t was_starved; /* bool: VERDICT_TIMEOUT after it had waited so much that the limit says nothing of it */
	uint32_t reserved;
};

struct proto_welcome {
	uint32_t version;       /* PROTO_VERSION */
	uint32_t languages;     /* number of configured languages */
	uint64_t config_digest; /* of the runner's configuration; a worker with another one must restart */
	uint32_t level;         /* enum level: in force */
};

struct proto_language {
	uint32_t available; /* bool */
	uint32_t start;     /* enum start_kind: in force, which can be slower than the configured one */
	char version[PROTO_NAME_SIZE];
	char reason[PROTO_TEXT_SIZE]; /* why it is not available, or not as configured; else empty */
};

struct proto_layer {
	uint32_t required; /* bool */
	uint32_t in_force; /* bool */
	char name[PROTO_NAME_SIZE];
	char detail[PROTO_TEXT_SIZE];
};

struct proto_state {
	uint32_t healthy; /* bool: all required layers are in force, and no awake language has failed */
	uint32_t ready;   /* bool: healthy, not stopping, and the queue is below its mark */
	uint32_t running; /* runs now */
	uint32_t queued;
	uint32_t armed;               /* cells that are armed */
	char reason[PROTO_TEXT_SIZE]; /* why it is not healthy; else empty */
};

struct proto_refused {
	uint32_t refusal;  /* enum refusal */
	uint32_t retry_ms; /* when a client should try again; 0: unknown */
};

enum progress {
	PROGRESS_QUEUED = 1, /* accepted: it waits, or starts at once */
	PROGRESS_STARTED,    /* handed to its guest */
};

struct proto_progress {
	uint32_t progress; /* enum progress */
	uint32_t reserved;
	uint64_t queue_us; /* PROGRESS_STARTED: as in struct run_result */
	uint64_t spawn_us; /* the same */
};

/* The account of the run's key. */
struct proto_account {
	uint32_t rate_left;     /* requests that it may still send at once */
	uint32_t rate_reset_ms; /* until all of its burst is there again */
};

struct proto_reply {
	uint32_t kind;
	uint32_t id;                  /* PROTO_RESULT, PROTO_REFUSED, PROTO_PROGRESS: the run's */
	struct proto_account account; /* the same */
	union {
		struct proto_welcome welcome;
		struct run_result result;
		struct proto_refused refused;
		uint32_t found; /* PROTO_FIND: bool */
		struct proto_language language;
		struct proto_layer layer;
		struct proto_state state;
		struct proto_progress progress;
	} u;
};

/* The name of a verdict as in API.md ("memory_limit"). Never NULL. */
const char *proto_verdict_name(enum verdict v);

/* The name of a kind of start as in API.md ("zygote"). Never NULL. */
const char *proto_start_name(enum start_kind s);

/* The name of a level as in API.md ("chroot"). Never NULL. */
const char *proto_level_name(enum level l);

/* The name of a network as in API.md ("none", "proxy", "host", "loopback"). Never NULL. */
const char *proto_network_name(enum network n);

#endif
