/*
 * config.h - what the operator wrote: cellblock.conf and languages/NAME.conf, checked and with every default filled in.
 *
 * The worker and the runner read the same files at start, before either locks itself up; nothing reads them later.
 * The man page is cellblock.conf(5).
 */
#ifndef CELLBLOCK_CONFIG_H
#define CELLBLOCK_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run_limits.h"
#include "proto.h"
#include "string_list.h"

#define CONFIG_MAX_LANGUAGES 64
#define CONFIG_MAX_WARM 8
#define CONFIG_MAX_WORDS 64 /* of a command */
#define CONFIG_MAX_PROXIES 16
#define PROXY_NONE "none" /* no proxy's name: who is given this has no network */

/* A run's limit when it asks for none, and the most that it may ask for. Both fit and default <= maximum. */
struct limits_config {
	struct run_limits default_;
	struct run_limits maximum;
};

enum requirement { /* what to do about a layer that the host may lack */
	LAYER_OFF,      /* do without */
	LAYER_OPTIONAL, /* use it where it can be had; say so where not */
	LAYER_REQUIRED, /* do not start without it */
};


/* A set of modules that a zygote has imported before it forks. Set 0 is the one for programs that fit no other. */
struct warm_set {
	char *name;
	struct strings imports; /* modules, in the order to import them */
	struct strings hints;   /* a program that contains one of these words is given to this set; empty for set 0 */
	uint32_t armed;         /* cells kept ready */
	uint32_t zygotes;       /* warm interpreters that fork in turn */
};

struct language_config {
	char *file; /* where it was read, for messages */
	char *name; /* as in a request */
	struct strings aliases;
	char *main_file; /* "main.py" */
	enum start_kind start;
	char *driver;      /* a folder below driver_dir: what makes the interpreter a zygote ("python3"). NULL: hook.so does */
	char *interpreter; /* with a driver: absolute path */
	struct strings run; /* how a program is started; none: what was compiled is executed itself */
	struct {
		struct strings command; /* none: programs are not compiled */
		char *output;           /* the file that it makes, in the working directory */
		struct run_limits limits;
	} compile;
	struct strings version; /* a command that prints it; none: the driver knows by itself */
	struct strings root; /* more host paths to bind read-only; a path with a leading '?' may be missing */
	struct strings links; /* "/where=/what" for symbolic links of the root's own */
	struct strings env;  /* NAME=value, on top of the standard ones */
	char *policy;        /* a file in policy_dir without ".conf" */
	uint64_t idle_s;     /* after so long without a run all that it has in memory is let go; 0: never, not even at first */
	uint64_t recycle_runs; /* a zygote is replaced after so many runs */
	struct warm_set warm[CONFIG_MAX_WARM]; /* without a driver: one, which only says how many are armed */
	size_t warm_count;                     /* at least 1 */
	struct limits_config limits; /* the global ones, overridden here */
};

/* Are its programs compiled first? */
static inline bool
config_is_compiled(const struct language_config *language)
{
	return language->compile.command.count > 0;
}

/* A way out for runs that ask for a network. */
struct proxy_config {
	char *name;
	char *address; /* "HOST:PORT" */
};

struct config {
	char *path; /* of cellblock.conf */
	uint64_t digest;

	/* folders, absolute */
	char *language_dir;
	char *policy_dir;
	char *driver_dir; /* what is bound into the zygotes */

	/* runner */
	char *socket_path;
	char *worker_user; /* who may connect; NULL: whoever the runner runs as */
	uint32_t first_uid; /* host uid (and gid) of the runner after a start as root; a cell's is first_uid + 1 + its number */
	uint32_t cells;     /* cells at most, armed and running */
	uint32_t queue;     /* runs that may wait for a cell */
	uint64_t queue_ms;  /* how long one may wait */
	uint64_t compiled_bytes; /* compiled programs that are kept, together; 0: none */

	/* isolation */
	enum level level;
	char *chroot_dir; /* where level chroot has the roots of its cells */
	enum requirement cgroup;
	char *cgroup_parent; /* NULL: find it */
	enum requirement landlock; /* for the cells */
	enum requirement uid_per_cell; /* after a start by an ordinary user; root always has it */
	uint32_t cpu_percent; /* CPU time a cell may use per time; 100 is one core */
	uint32_t threads;     /* threads of a run that may start no process, on top of its first */
	uint32_t open_files;  /* RLIMIT_NOFILE of a guest */
	uint32_t inodes;      /* files in a cell's tmpfs */

	/* worker */
	uint64_t body_bytes; /* the largest request body */
	enum requirement worker_landlock; /* for the worker's own wall */

	/* network */
	enum network network;
	bool network_strict;
	struct proxy_config proxy[CONFIG_MAX_PROXIES]; /* the first for keys that have no other; at least 1 with NETWORK_PROXY */
	size_t proxy_count;
	char *certificates;     /* of authorities: a file that such runs find; where there is a network */
	uint32_t connections;   /* to its proxy that a run may have at one time, and begin in a second */
	uint32_t network_armed; /* cells kept ready of a warm set for runs that ask for a network, at most; see config_network_armed */

	struct limits_config limits;
	struct language_config *language[CONFIG_MAX_LANGUAGES]; /* sorted by name */
	size_t language_count;
};

/*
 * Read and check `path` and the files that it names. Returns a config for config_free, or NULL with one line in
 * `error` (FILE:LINE: what is wrong, and what is allowed).
 */
struct config *config_load(const char *path, char *error, size_t error_size);

void config_free(struct config *config);

/* How many cells a set keeps ready for runs that ask for a network, beside its others. */
static inline uint32_t
config_network_armed(const struct config *config, const struct warm_set *set)
{
	if (config->network == NETWORK_NONE)
		return 0;
	return set->armed < config->network_armed ? set->armed : config->network_armed;
}

/* The index of a proxy by its name, or -1. */
int config_find_proxy(const struct config *config, const char *name);

/* The index of a language by name or alias, or -1. */
int config_find_language(const struct config *config, const char *name);

#endif
