/*
 * config.h - the configuration: cellblock.conf and languages/NAME.conf, checked, with all defaults
 * filled in.
 *
 * The worker and the runner read the same files at their start, before they give up access to
 * files. The man page is cellblock.conf(5).
 */
#ifndef CELLBLOCK_CONFIG_H
#define CELLBLOCK_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto.h"
#include "run_limits.h"
#include "string_list.h"

#define CONFIG_MAX_LANGUAGES 64
#define CONFIG_MAX_WARM 8
#define CONFIG_MAX_WORDS 64 /* of a command */
#define CONFIG_MAX_PROXIES 16
#define PROXY_NONE "none" /* reserved: a key to which nginx gives this has no network */

/*
 * The limits of a run that asks for none, and the most that a run may ask for; default_ <= maximum.
 */
struct limits_config {
	struct run_limits default_;
	struct run_limits maximum;
};

enum requirement {      /* of a layer that the host may lack */
	LAYER_OFF,      /* do not use it */
	LAYER_OPTIONAL, /* use it if the host has it; report if not */
	LAYER_REQUIRED, /* do not start without it */
};

/*
 * A set of modules that a zygote imports before it forks. Set 0 is for programs that match no other
 * set.
 */
struct warm_set {
	char *name;
	struct strings imports; /* modules, in the order to import them */
	struct strings hints;   /* a program that contains one of these words uses this set; empty for set 0 */
	uint32_t armed;         /* cells kept ready */
	uint32_t zygotes;       /* warm interpreters, which fork in turn */
};

#define CONFIG_MAX_SOURCES 8  /* kinds of source files */
#define CONFIG_MAX_OPTIONS 32 /* of a compiler: a request's are bits of a number (job.h) */

/* A word of compile.command: those of the run's files that are sources, but the main file. */
#define CONFIG_SOURCES_WORD "{sources}"

/* In a word of `run`: the memory limit of the run, in bytes. */
#define CONFIG_MEMORY_WORD "{memory_bytes}"
/* The number of processors whose time a cell gets. */
#define CONFIG_PROCESSORS_WORD "{processors}"
/* The protocols of other services (fcgi/adapters/), in the order of config_adapter_names. */
enum adapter_protocol {
	ADAPTER_PISTON,
	ADAPTER_SANDBOXFUSION,
	ADAPTER_JOBE,
	ADAPTER_COUNT,
};

/* The program that installs the packages of a language (deps/). */
enum packages {
	PACKAGES_NONE,
	PACKAGES_PIP,
	PACKAGES_NPM,
};

struct language_config {
	char *file; /* its path, for messages */
	char *name; /* as in a request */
	struct strings aliases;
	char *family;    /* what several versions of a language share; its own name, if the file has none */
	bool is_default; /* of its family: the one that is called like it, by its name or an alias */
	char *main_file; /* "main.py" */
	enum start_kind start;
	char *driver;      /* directory in driver_dir ("python3") of a zygote's code; NULL: hook.so */
	char *interpreter; /* with a driver: absolute path */
	enum packages packages;
	char *packages_link; /* where the link to its set of packages is, if it has one; NULL: it can have none */
	struct strings run;  /* the command that starts a program (CONFIG_MEMORY_WORD); none: the compiled file is executed */
	struct {
		struct strings command; /* none: programs are not compiled */
		char *output;           /* the file that it creates in the working directory */
		struct strings sources; /* ends of the names of files that stand for CONFIG_SOURCES_WORD */
		struct strings options; /* words that a request may add to the command; at most CONFIG_MAX_OPTIONS */
		struct run_limits limits;
	} compile;
	char *out_of_memory;                   /* words on stderr of a program that failed for want of memory; NULL: none */
	struct strings version;                /* a command that prints it; none: the driver knows it */
	bool has_root;                         /* `root` is set, and replaces the root that all languages share */
	struct strings root;                   /* host paths to bind read-only; with a leading '?' one may be missing */
	struct strings more_root;              /* the same, in addition to the root */
	struct strings links;                  /* "/place=/target": symbolic links in the root */
	struct strings env;                    /* NAME=value, in addition to the standard variables */
	char *policy;                          /* a file in policy_dir without ".conf" */
	uint64_t idle_s;                       /* it sleeps after this long without a run; 0: never, and it starts awake */
	uint64_t recycle_runs;                 /* a zygote is replaced after this many runs */
	struct warm_set warm[CONFIG_MAX_WARM]; /* without a driver: one, of which only `armed` is used */
	size_t warm_count;                     /* at least 1 */
	struct limits_config limits;           /* the global ones, overridden here */

	/* its names in each protocol; lists have the first one. None: see adapter_language.h */
	struct strings adapter_names[ADAPTER_COUNT];
};

/* Whether its programs are compiled first. */
static inline bool
config_is_compiled(const struct language_config *language)
{
	return language->compile.command.count > 0;
}

/* An HTTP proxy for runs that ask for a network. */
struct proxy_config {
	char *name;
	char *address; /* "HOST:PORT" */
};

/* The limits of a key, as in struct run_share. */
struct key_limits {
	uint32_t weight;
	uint32_t running;
	uint32_t waiting;
	uint32_t rate;
	uint32_t burst;
};

/* The form of a message in the log. */
enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
};

/* The HTTP status of a request that is refused because of its key's limits. */
enum busy_status {
	BUSY_429,
	BUSY_503, /* for clients that try again after 503 only */
};

/* The fate of a request's "preload". */
enum preload {
	PRELOAD_RUN,
	PRELOAD_IGNORE, /* as dify-sandbox does */
};

/* The network of an installer. */
enum build_network {
	BUILD_NETWORK_NONE,
	BUILD_NETWORK_HOST,
};

/* How the packages of runs are installed (deps/). */
struct dependencies_config {
	char *requirements;    /* a directory for each language, with the file that names its packages */
	char *sets;            /* a directory for the sets of packages; its owner installs them */
	enum requirement cell; /* bubblewrap around the installer */
	enum build_network network;
	char *proxy;                  /* a URL; NULL: none. So are the next two: the installers' own defaults */
	char *index_url;              /* pip's */
	char *registry;               /* npm's */
	struct strings trusted_hosts; /* pip uses them without TLS, or with any certificate */
	char *archives;               /* a directory with wheels or tarballs; NULL: none */
	char *certificates;           /* a file with the authorities' certificates */
	char *npm;                    /* the program */
	uint64_t bytes;               /* the most that a set may take on the disk */
	uint64_t memory_bytes;        /* the most that all processes of an installer may have together */
	uint64_t build_ms;            /* the longest time of one installation */
	uint64_t update_s;            /* from one update without a request to the next; 0: there are none */
};

struct config {
	char *path; /* of cellblock.conf */
	uint64_t digest;
	enum log_format log_format;

	/* directories, absolute */
	char *language_dir;
	char *policy_dir;
	char *driver_dir; /* bound into the roots of the zygotes */

	/* runner */
	char *socket_path;
	char *worker_user;       /* the user that may connect; NULL: the runner's own */
	uint32_t first_uid;      /* of the runner, after a start as root; a cell's is first_uid + 1 + number */
	uint32_t cells;          /* the most cells, armed and running together */
	uint32_t reserve;        /* cells that no single key may take; below `cells` */
	uint32_t queue;          /* the most runs that wait for a cell */
	uint64_t queue_ms;       /* the longest wait of one */
	uint64_t memory_bytes;   /* the sum of the memory limits of running cells; 0: 80 % of what there is */
	uint32_t stall_percent;  /* of its wall_ms that a run may take longer, for what it had to wait */
	uint64_t drain_ms;       /* how long a runner or worker that stops waits for its runs */
	uint64_t compiled_bytes; /* the size of all compiled programs kept; 0: none is kept */

	/* isolation */
	enum level level;
	char *level_note;                /* why it is this level, for the log and the capabilities; NULL: it was configured */
	char *chroot_dir;                /* level chroot: the directory for the roots of its cells */
	char *chroot_stock;              /* level chroot: trees that were made with an image; NULL: there are none */
	struct strings chroot_leave_out; /* level chroot: host directories, as patterns, that are not linked into them */
	enum requirement cgroup;
	char *cgroup_parent;           /* NULL: find it */
	enum requirement landlock;     /* for the cells */
	enum requirement uid_per_cell; /* for a start as an ordinary user; as root it is always in force */
	uint32_t cpu_percent;          /* CPU time of a cell per wall time; 100 is one core */
	uint32_t cell_runs;            /* level namespaces: the most runs of one cell, one after the other */

	/* worker */
	uint32_t requests;   /* at the same time, of one worker process */
	struct strings cors; /* origins of the pages that may use the service from a browser, or "*"; none: no page */
	uint64_t body_bytes; /* the largest request body */
	enum preload preload;
	enum requirement worker_landlock; /* for the worker itself */
	uint64_t heartbeat_ms;            /* from one event to the next, of a client that asked for events; 0: no heartbeat */

	/* files */
	uint64_t collect_bytes; /* of the files that a run has left, in its reply; 0: there are none */
	char *store_dir;
	uint64_t store_bytes;         /* of all files in the store; 0: there is no store */
	uint64_t store_key_bytes;     /* of a key whose file does not say otherwise */
	uint64_t store_file_bytes;    /* of one */
	uint64_t store_run_bytes;     /* that all runs in progress may have from the store */
	uint64_t store_s;             /* for how long a file is kept that nobody uses; 0: for ever */
	uint64_t collect_store_bytes; /* of the files of a run that go into the store */

	/* tests */
	uint32_t tests_most;    /* of a request; 0: none */
	uint32_t tests_at_once; /* of a request, at the same time */
	uint64_t tests_ms;      /* the longest time of a request with tests */

	/* adapters */
	struct strings adapters; /* the protocols of other services that are served, by name; none: no other */
	char *adapter_local_key; /* the key that requests without one have there, from this host; NULL: none */

	/* keys */
	char *key_dir;                /* a file for each API key */
	struct key_limits key_limits; /* of a key whose file does not say otherwise */
	enum busy_status busy_status; /* the same */

	/* network */
	enum network network;
	bool network_strict;
	bool loopback;                                 /* a run may have a loopback of its own; see config_has_loopback */
	struct proxy_config proxy[CONFIG_MAX_PROXIES]; /* the first is the default; NETWORK_PROXY: at least 1 */
	size_t proxy_count;
	char *certificates;     /* a file with CA certificates for runs that have a network */
	uint32_t connections;   /* to its proxy: of a run at the same time, and new ones in a second */
	uint32_t network_armed; /* armed cells of a warm set with a network; see config_network_armed */

	/* etc: what cells see of a machine's /etc */
	char *timezone;           /* the name of a zone; NULL: the host's */
	struct strings etc_files; /* files and directories below /etc of the host, as patterns of glob(7) */

	struct dependencies_config dependencies;

	struct limits_config limits;
	struct language_config *language[CONFIG_MAX_LANGUAGES]; /* sorted by name */
	size_t language_count;
};

/*
 * The longest time that a run with this wall_ms may take: its limit is stretched by what it had to
 * wait for a processor, up to this.
 */
static inline uint64_t
config_wall_most_ms(const struct config *config, const struct language_config *language, uint64_t wall_ms)
{
	uint64_t stretched_ms = wall_ms + wall_ms * config->stall_percent / 100, most_ms = language->limits.maximum.wall_ms;

	if (wall_ms >= most_ms)
		return wall_ms;
	return stretched_ms < most_ms ? stretched_ms : most_ms;
}

/* Whether files that runs leave can go into the store. */
static inline bool
config_can_store(const struct config *config)
{
	return config->store_bytes > 0 && config->collect_store_bytes > 0;
}

/* The most bytes of the files of a run that a collector copies. */
static inline uint64_t
config_collected_most(const struct config *config)
{
	return config_can_store(config) && config->collect_store_bytes > config->collect_bytes ? config->collect_store_bytes :
	                                                                                         config->collect_bytes;
}

/* Whether runs can have a loopback. That takes a network namespace, which level chroot has not. */
static inline bool
config_has_loopback(const struct config *config)
{
	return config->loopback && config->level == LEVEL_NAMESPACES;
}

/* The number of armed cells of a warm set for runs with a network, in addition to its others. */
static inline uint32_t
config_network_armed(const struct config *config, const struct warm_set *set)
{
	if (config->network == NETWORK_NONE)
		return 0;
	return set->armed < config->network_armed ? set->armed : config->network_armed;
}

#endif
