/*
 * messages.h - the messages among the processes of the runner: broker, wardens, zygotes, guests,
 * reapers, door and relay.
 *
 *     broker --WARDEN_MAKE--> warden --guest_request--> zygote --fork--> guest --guest_report--> broker
 *     broker --guest_start--> guest, which then closes its socket and runs the program
 *
 * Where programs are started instead of being forked from an interpreter, the zygote is a launcher
 * (guest/launcher.c).
 *
 * All messages have a fixed size, go over SOCK_SEQPACKET sockets, and pass between processes that
 * have not run a program of a stranger.
 */
#ifndef CELLBLOCK_MESSAGES_H
#define CELLBLOCK_MESSAGES_H

#include <signal.h>
#include <stdint.h>

#define REQUEST_STEP_SIZE 48
#define REQUEST_CGROUPS_MAX 4
#define REQUEST_NAMESPACES_MAX 4
#define REQUEST_FDS (2 + REQUEST_CGROUPS_MAX)                    /* with a warden_request, at most */
#define GUEST_REQUEST_FDS (REQUEST_FDS + REQUEST_NAMESPACES_MAX) /* with a guest_request, at most */

/* Descriptors that a zygote is started with. */
#define ZYGOTE_REQUESTS_FD 3 /* its socket: receives guest_requests, sends one zygote_report */
#define ZYGOTE_SETUP_FD 4    /* struct zygote_setup and the data that follows it */
#define ZYGOTE_TASKS_FD 5    /* level chroot: its own /proc/self/task */

enum warden_request_kind {
	/*
	 * Make cell `cell`. Descriptors: the guest's end of its control socket; at level chroot the
	 * reaper's end of its socket; its cgroups; for some networks one more, see cell_network.
	 * With `is_renewal` the cell exists, and is emptied instead: level namespaces, and
	 * CELL_NETWORK_EMPTY or CELL_NETWORK_RELAY.
	 */
	WARDEN_MAKE = 1,
	/* Level namespaces: kill all that is left of `cell`. */
	WARDEN_DROP,
	/*
	 * From now on the descriptor is the socket of zygote `zygote`. Without a descriptor the
	 * zygote has none, and ends.
	 */
	WARDEN_ZYGOTE,
	/*
	 * Level namespaces: extract the output of a compiler. Descriptors: a socket to answer on,
	 * and the box of a cell in which nothing is left. Answered by a guest_report with, if all
	 * is well, a sealed memfd.
	 */
	WARDEN_EXTRACT,
	/*
	 * Level namespaces: collect files of a run (common/collection.h). Descriptors: a socket to
	 * answer on, the box of a cell in which nothing is left, and the patterns. Answered by a
	 * guest_report with, if all is well, a sealed memfd.
	 */
	WARDEN_COLLECT,
	/*
	 * Report the identity of the language's compiler. Descriptor: a socket to answer on.
	 * Answered by a warden_compiler.
	 */
	WARDEN_IDENTIFY,
	/*
	 * Write `bytes` as a number to a file, which makes the kernel reclaim the memory of a
	 * control group: that may take long. Descriptors: a socket to answer on, and the file.
	 * Answered by closing the socket.
	 */
	WARDEN_RECLAIM,
	/*
	 * Level chroot: give `cell` another reaper, in place of one that died. Descriptor: its end
	 * of its socket.
	 */
	WARDEN_KEEP,
};

/* The network namespace of a cell. */
enum cell_network {
	CELL_NETWORK_OF_ZYGOTE, /* the host's, or that of all cells: nothing is joined */
	CELL_NETWORK_EMPTY,     /* one without any interface that is up. Descriptor: the namespace */
	CELL_NETWORK_LOOPBACK,  /* a new one with a loopback */
	CELL_NETWORK_RELAY_NEW, /* the same, with a listener of the relay: see cell_network_made */
	CELL_NETWORK_RELAY,     /* one that was made so for an earlier run, which had no socket. Descriptor: the namespace */
	CELL_NETWORKS
};

/*
 * On a cell's control socket, before the report of its guest: from its warden, which has made a
 * network namespace with a listener of the relay. Descriptors: the namespace, and the listener.
 */
struct cell_network_made {
	uint8_t is_made; /* 1 */
};

struct warden_request {
	uint32_t kind;
	uint32_t cell;
	uint32_t zygote;
	uint32_t network; /* enum cell_network */
	uint32_t tree;    /* level chroot: the number of the language's tree to use */
	uint32_t is_renewal;
	uint32_t rehearses; /* as in guest_request */
	uint32_t reserved;
	uint64_t bytes;
};

/*
 * The files of the compiler and of the program that tells its version: device, inode, time of
 * change. Zeros: there is none.
 */
struct warden_compiler {
	uint64_t file[2][3];
};

/*
 * From a warden to a zygote: fork a guest into a cell. Descriptors: a pidfd of the cell's init or,
 * at level chroot, its root directory; the guest's end of its control socket; `namespaces`
 * namespaces of the cell; the cgroups to join.
 */
struct guest_request {
	uint32_t cell;        /* its number, for the guest's name */
	uint32_t uid;         /* and gid, in the runner's user namespace */
	uint32_t has_network; /* the cell has a network namespace of its own to join */
	uint32_t namespaces;  /* 0: the pidfd joins them; else the first is the pid namespace */
	uint32_t rehearses;   /* bool: the guest does what a run does before it reports, if its driver can */
};

/*
 * From a zygote to the broker, once: whether it is ready. Descriptor, if it is: the seccomp
 * listener, which reports denied system calls of its guests.
 */
struct zygote_report {
	int32_t error;    /* 0: ready */
	char version[32]; /* of the interpreter */
	char text[192];   /* what failed */
};

/*
 * On a cell's control socket, once: whether its guest is armed. It comes from the guest, or from
 * the warden or zygote that could not make one. Descriptors, from a guest that is armed: a pidfd of
 * the cell's init or, at level chroot, its root directory; the working directory (O_PATH); and
 * perhaps a memfd with a guest_memory.
 */
struct guest_report {
	int32_t error;                /* 0: armed; else an errno */
	char step[REQUEST_STEP_SIZE]; /* what failed */
};

/*
 * Of a guest whose zygote has imported more than the program will: the guest keeps it up to date.
 * The program can write to it, too.
 */
struct guest_memory {
	uint64_t cold_bytes;      /* the resident set of a new interpreter with the same imports; 0: not known */
	uint64_t inherited_bytes; /* the guest has these in place of them */
};

#define GUEST_FAILED 127 /* exit status of a guest that reports that a step failed */

/*
 * From the broker to an armed guest: start the run. Descriptors: job, stdout, stderr; stdin if
 * `has_stdin`; the compiled program if `has_output`; the pack (job.h) if `has_pack`.
 */
struct guest_start {
	uint32_t has_stdin;
	uint32_t has_output;
	uint32_t is_compile;   /* compile the program instead of running it */
	uint32_t attack;       /* enum attack_kind: a part of the self-test, instead of a run */
	uint64_t cpu_seconds;  /* RLIMIT_CPU, later than the broker's own CPU deadline */
	uint64_t open_files;   /* RLIMIT_NOFILE */
	uint64_t stack_bytes;  /* RLIMIT_STACK */
	uint64_t memory_bytes; /* the memory limit, for a command that names it */
	uint64_t data_bytes;   /* RLIMIT_DATA, where there is no control group; 0: do not set it */
	uint64_t tasks;        /* RLIMIT_NPROC, where there is no control group; 0: do not set it */
	uint64_t file_bytes;   /* RLIMIT_FSIZE, at level chroot; 0: do not set it */
	uint32_t has_pack;
	uint32_t announces; /* its success, before it exits; see guest_end */
};

/*
 * From the broker to a guest whose time is up, before it is killed: write what is in your buffers.
 * The real-time signal with the lowest priority, whose default is to end the process. A program may
 * do as it likes with it: it gains the few milliseconds until it is killed.
 */
#define GUEST_LAST_WORDS 64

/*
 * From the broker to the reaper of a cell (warden/reaper.h). The end of the connection means
 * REAPER_END.
 */
enum reaper_request_kind {
	REAPER_WATCH = 1, /* a run begins, which may use `disk_bytes` and `inodes`: report when it uses more */
	REAPER_MEASURE,   /* report whether it uses more now */
	REAPER_EXTRACT,   /* REAPER_END, but extract the output of the compiler first */
	REAPER_COLLECT,   /* REAPER_END, but collect files first. Descriptor: the patterns (common/collection.h) */
	REAPER_END,       /* kill all processes of the cell, empty its directories, and end */
};

struct reaper_request {
	uint32_t kind;
	uint64_t disk_bytes;
	uint64_t inodes;
};

/*
 * From the reaper: the answer to REAPER_WATCH, when the disk is full; to REAPER_MEASURE; to
 * REAPER_EXTRACT and REAPER_COLLECT, with a sealed memfd if that could be done.
 */
struct reaper_report {
	uint32_t kind;    /* enum reaper_request_kind */
	uint32_t is_full; /* enum disk_full */
};

/* The part of its disk that a run has used up. */
enum disk_full {
	DISK_FULL_NOT,
	DISK_FULL_BYTES,
	DISK_FULL_INODES,
};

/* ---- the door, the relay --------------------------------------------------------------------- */

/* The kinds of message from the door to the broker. The first two come with one descriptor. */
enum door_kind {
	DOOR_WORKER, /* the connection of a worker */
	DOOR_RELAY,  /* the channel of a relay that was just started */
	DOOR_MOVED,  /* a newer generation serves: end when the workers have gone */
	DOOR_ALONE,  /* no earlier generation is sent runs any more */
	DOOR_STOP,   /* finish the runs, refuse all others, and end */
};

/* From the door to the broker. */
struct door_visitor {
	uint32_t kind; /* enum door_kind */
	int32_t pid;   /* of a worker, on the host: in the broker's pid namespace it has none */
};

enum broker_kind {
	BROKER_READY, /* healthy, for the first time */
	BROKER_MOVED, /* after DOOR_MOVED: the workers were told */
};

/* From the broker to the door. */
struct broker_notice {
	uint32_t kind; /* enum broker_kind */
};

#define RELAY_PORT 3128 /* of the listener on the loopback of a cell */

enum relay_kind {
	RELAY_LISTEN, /* once: accept connections on the descriptor, a listener in the cell's network namespace */
	RELAY_CARRY,  /* level chroot: the descriptor is one side of a connection, whose other side a program has */
};

/*
 * From the broker to the relay, on a cell's link (relay/relay.h), with one descriptor: carry the
 * connections of its run.
 */
struct relay_order {
	uint32_t kind;  /* enum relay_kind */
	uint32_t proxy; /* an index into config->proxy, the same in all orders of a link */
};

/*
 * The signal with which a guest ends itself when its interpreter gets no memory and would abort.
 * The kernel never sends it. A program that sends it to itself gets the same verdict, which harms
 * nobody else.
 */
#define GUEST_OUT_OF_MEMORY SIGSTKFLT

/*
 * A zygote reads this from ZYGOTE_SETUP_FD. Behind it follow the two BPF programs, then the
 * imports, each ended by a NUL.
 */
#define ZYGOTE_SETUP_MAGIC 0x3159475au /* "ZGY1" */

struct zygote_setup {
	uint32_t magic;
	uint32_t level;      /* enum level */
	uint32_t single_uid; /* only uid 0 is mapped: guests have user namespaces of their own */
	uint32_t base_count; /* instructions of the base filter */
	uint32_t last_count; /* of the last filter */
	uint32_t imports;
	uint32_t imports_bytes;
	uint32_t huge_pages;      /* for the interpreter's code: enough guests share them */
	int32_t landlock_abi;     /* 0: no Landlock around guests */
	uint32_t landlock_flags;  /* enum landlock_flag */
	uint32_t has_proc;        /* cells have a /proc */
	uint32_t zygote_landlock; /* Landlock around zygotes, too: guest_requests have namespaces */
	char language[32];        /* its name */
	char main_file[64];       /* "main.py" */
};

#endif
