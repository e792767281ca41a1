/*
 * messages.h - what the runner, its wardens, the zygotes and the guests say to each other until a guest runs.
 *
 *     broker --WARDEN_MAKE--> warden --guest_request--> zygote --fork--> guest --guest_report--> broker
 *     broker --guest_start--> guest, which from then on holds no channel to any of us
 *
 * Where programs are started rather than forked from an interpreter, the zygote is a launcher (launcher.c).
 *
 * All over SOCK_SEQPACKET sockets, all fixed-size, all between processes that have not run user code.
 */
#ifndef CELLBLOCK_ORDERS_H
#define CELLBLOCK_ORDERS_H

#include <signal.h>
#include <stdint.h>

#define REQUEST_STEP_SIZE 48
#define REQUEST_CGROUPS_MAX 4
#define REQUEST_NAMESPACES_MAX 5
#define REQUEST_FDS (2 + REQUEST_CGROUPS_MAX) /* that come with a warden_request, at most */
#define GUEST_REQUEST_FDS (REQUEST_FDS + REQUEST_NAMESPACES_MAX) /* with a guest_request */

/* Descriptors that a zygote is started with. */
#define ZYGOTE_REQUESTS_FD 3 /* its socket; guest_request comes in, one zygote_report goes out */
#define ZYGOTE_SETUP_FD 4  /* struct zygote_setup and what follows it */
#define ZYGOTE_TASKS_FD 5  /* level chroot: its own /proc/self/task */

enum warden_request_kind {
	WARDEN_MAKE = 1, /* make cell `cell`; descriptors: the guest's end of its control socket, its cgroups, and with
	                  * `has_network` the cell's link to the relay (relay.h) */
	WARDEN_DROP,     /* kill whatever is left of `cell` */
	WARDEN_ZYGOTE,   /* with one descriptor: from now on this is zygote `zygote` */
	WARDEN_COLLECT,  /* descriptors: a socket to answer on, and the box of a cell that is gone. Answered by a guest_report
	                  * with, if all is well, a sealed memfd of what its compiler made */
	WARDEN_RESIZE,   /* give the tmpfs of `cell` `disk_bytes`; descriptor: a socket to answer on */
	/* Level chroot, where WARDEN_MAKE has the keeper's end of its socket as its second descriptor, knows no other kinds. */
	WARDEN_KEEP,     /* give `cell` another keeper, in place of one that died; descriptor: its end of its socket */
};

struct warden_request {
	uint32_t kind;
	uint32_t cell;
	uint32_t zygote;
	uint32_t has_network; /* the cell gets a network namespace of its own */
	uint32_t tree; /* level chroot: in which of the language's trees */
	uint64_t disk_bytes;
};

/*
 * With descriptors: what the cell is joined by, the control socket, `namespaces` of the cell's, the cgroups to join. The first is a
 * pidfd of the cell's init, or, at level chroot, its root directory.
 */
struct guest_request {
	uint32_t cell; /* its number, for the guest's name */
	uint32_t uid; /* and gid, in the runner's user namespace */
	uint32_t has_network; /* the cell has a network namespace of its own to join */
	uint32_t namespaces;  /* 0: they are joined by the pidfd; else the first is that of pids */
};

/* How a zygote came up: sent once by it. With a descriptor, where refused calls of its guests are heard of. */
struct zygote_report {
	int32_t error;                 /* 0: ready */
	char version[32];              /* of the interpreter */
	char text[192];                /* what failed */
};

/*
 * How a cell came up: sent once on its control socket, by the guest, or by the warden or zygote that could not make
 * one. From a guest that is ready it brings two descriptors: what its cell is joined by, and its working directory (O_PATH).
 */
struct guest_report {
	int32_t error;              /* 0: armed; else an errno */
	char step[REQUEST_STEP_SIZE]; /* what failed */
};

/* The run: with descriptors job, stdout, stderr, stdin if has_stdin, and what was compiled if has_output. */
struct guest_start {
	uint32_t has_stdin;
	uint32_t has_output;
	uint32_t is_compile;  /* the program is to be compiled, not run */
	uint32_t attack;      /* enum attack_kind: not a run, but a part of the self-test */
	uint64_t cpu_seconds; /* RLIMIT_CPU, behind the runner's own CPU deadline */
	uint64_t data_bytes;  /* RLIMIT_DATA, where there is no control group; 0: leave it */
	uint64_t tasks;       /* RLIMIT_NPROC, likewise */
	uint64_t file_bytes;  /* RLIMIT_FSIZE, at level chroot; 0: leave it */
};

/* From the broker to the keeper of a cell (keeper.h). The end of the connection means REAPER_END. */
enum reaper_request_kind {
	REAPER_WATCH = 1, /* a run begins, which may have `disk_bytes`: tell when it has more */
	REAPER_MEASURE,   /* has it now? */
	REAPER_COLLECT,   /* REAPER_END, but take first what the compiler has made */
	REAPER_END,       /* kill all that is in the cell, empty its directories, and end */
};

struct reaper_request {
	uint32_t kind;
	uint64_t disk_bytes;
};

/* An answer: to REAPER_WATCH, when the disk is full; to REAPER_MEASURE; to REAPER_COLLECT, with a sealed memfd if all is well. */
struct reaper_report {
	uint32_t kind; /* enum reaper_request_kind */
	uint32_t is_full;
};

/* ---- the door, the relay ---- */

/* What comes to the broker. */
enum door_kind {
	DOOR_WORKER, /* the connection of a worker */
	DOOR_RELAY,  /* the channel of a relay that has just been started */
};

/* What is said with each. */
struct door_visitor {
	uint32_t kind; /* enum door_kind */
	int32_t pid;   /* of a worker. Only here it means something: there it is none */
};

#define RELAY_PORT 3128 /* on the loopback of a cell */

/* On a cell's link: without a descriptor; the listener comes with one, and then `proxy` means nothing. */
struct relay_start {
	uint32_t proxy; /* an index into config->proxy */
};

/*
 * The signal with which a guest ends itself when its interpreter cannot have the memory that it needs to go on, and would
 * abort. The kernel never sends it. A program that sends it to itself gets the same verdict, which is its own business.
 */
#define GUEST_OUT_OF_MEMORY SIGSTKFLT

/* What a zygote reads from ZYGOTE_SETUP_FD; behind it: the two BPF programs, then the imports, each ended by a NUL. */
#define ZYGOTE_SETUP_MAGIC 0x3159475au /* "ZGY1" */

struct zygote_setup {
	uint32_t magic;
	uint32_t level;                    /* enum level */
	uint32_t single_uid;               /* no uid but 0 is mapped: guests keep it, in user namespaces of their own */
	uint32_t base_count;               /* instructions of the base filter */
	uint32_t last_count;               /* of the last filter */
	uint32_t imports;
	uint32_t imports_bytes;
	uint32_t huge_pages;               /* for the interpreter's code: enough guests share them to be worth it */
	int32_t landlock_abi;              /* 0: no Landlock around guests */
	uint32_t landlock_flags;           /* enum landlock_flag */
	uint32_t zygote_landlock;          /* around the zygote, too: then its cells' namespaces come with their orders */
	char language[32];                 /* its name */
	char main_file[64];                /* "main.py" */
};

#endif
