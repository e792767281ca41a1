/*
 * fd_budget.c - see fd_budget.h. Runs at the start, before the first descriptor of any size is
 * opened.
 */
#define _GNU_SOURCE
#include "start/fd_budget.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "broker/compile_cache.h"
#include "fdpass.h"
#include "messages.h"
#include "policy.h"
#include "relay/relay.h"

/* Of a cell, in the broker. */
#define CELL_CGROUP (REQUEST_CGROUPS_MAX + 12) /* to join its groups; the files of cgroup_cell */
#define CELL_OWN 5  /* control socket; init or reaper; working directory; network namespace; its guest_memory */
#define CELL_LINK 4 /* network namespace, listener, link to the relay; a socket for a program */
#define CELL_RUN 5  /* the worker's connection; program; the directory, and what is taken from it; patterns */

/* Of a run that waits for a cell. */
#define QUEUED_RUN 8 /* the worker's connection; job, stdout, stderr, stdin; patterns; pack; the compiled program */

/* Of a language. */
#define LANGUAGE_OWN 7     /* mount namespaces of cells and zygotes; root; trees; packages; warden; its answer */
#define LANGUAGE_SETUP 1   /* of each pool */
#define LANGUAGE_CLONES 64 /* of mounts for its root, at the start only: more than shipped ones have */

/* Of a zygote. */
#define ZYGOTE_OWN 3  /* where it reports; its seccomp listener; that of the zygote before it */
#define ZYGOTE_TEST 5 /* a self-test: its output, and what its guest is given */

/*
 * Connections of workers that have no run: of as many processes as take all requests that may run
 * or wait, and of those that replace them in the meantime.
 */
#define WORKER_SPARE 32                                       /* requests that are about to be answered, or refused */
#define WORKER_SPARE_CONNECTIONS (5 + PROTO_MORE_CONNECTIONS) /* of a process, as in broker/client.c */
#define WORKER_GENERATIONS 2

/*
 * stdio, epoll, signals, door, relay, the network namespace, /proc, the processes of cells, the
 * host's root, the metrics, the directory of the pids groups, the count of pids, the listener for
 * sockets of programs; the two ends of what is being handed over; and one message with all
 * descriptors that it can have.
 */
#define BROKER_OWN (20 + FDPASS_MAX)

/* Of the relay. */
#define RELAY_OWN 16
#define RELAY_CELL 2       /* link and listener */
#define RELAY_CONNECTION 2 /* both sides */

static void
add(struct fd_budget *budget, size_t at, const char *name, uint64_t count, uint64_t each)
{
	budget->part[at] = (struct fd_part){ name, count, each };
	budget->total += count * each;
}

/* The connections of one generation of workers. */
static uint64_t
connections_of_workers(const struct config *config)
{
	uint64_t requests = config->requests > 0 ? config->requests : 1;
	uint64_t processes = ((uint64_t)config->cells + config->queue + WORKER_SPARE + requests - 1) / requests;

	return processes * (requests + WORKER_SPARE_CONNECTIONS);
}

void
fd_budget_of_broker(const struct config *config, struct fd_budget *budget)
{
	uint64_t cell = (config->cgroup != LAYER_OFF ? CELL_CGROUP : 0) + CELL_OWN + CELL_RUN +
	    (config->network == NETWORK_PROXY ? CELL_LINK : 0);
	uint64_t pools = 0, zygotes = 0, serving;

	for (size_t l = 0; l < config->language_count; l++) {
		const struct language_config *language = config->language[l];
		/*
		 * The warm sets, and the kind for runs that none of them takes; each with every
		 * grant.
		 */
		uint64_t kinds = language->warm_count + 1;

		pools += kinds * GRANT_COUNT;
		zygotes += kinds * GRANT_COUNT;
		for (size_t w = 0; w < language->warm_count; w++)
			zygotes += language->warm[w].zygotes - 1;
	}
	*budget = (struct fd_budget){ .total = 0 };
	add(budget, 0, "cells", config->cells, cell);
	add(budget, 1, "queued runs", config->queue, QUEUED_RUN);
	add(budget, 2, "kept programs", config->compiled_bytes > 0 ? COMPILE_CACHE_ENTRIES_MAX : 0, 1);
	add(budget, 3, "zygotes", zygotes, ZYGOTE_OWN + ZYGOTE_TEST);
	add(budget, 4, "pools", pools, LANGUAGE_SETUP);
	serving = budget->total + config->language_count * LANGUAGE_OWN;
	/* When it puts the roots together it has no cell, no run and no zygote yet. */
	add(budget, 5, "languages", config->language_count,
	    LANGUAGE_OWN + (config->language_count * LANGUAGE_CLONES > serving ? LANGUAGE_CLONES : 0));
	add(budget, 6, "connections of workers", connections_of_workers(config), WORKER_GENERATIONS);
	add(budget, 7, "others", BROKER_OWN, 1);
}

uint64_t
fd_budget_of_relay(const struct config *config)
{
	uint64_t waiting = config->level == LEVEL_CHROOT ? RELAY_WAITING_MAX : 0;

	/*
	 * Two sockets for each connection of each cell, so that no cell can take what is another's.
	 */
	return RELAY_OWN + (uint64_t)config->cells * (RELAY_CELL + (uint64_t)RELAY_CONNECTION * config->connections + waiting);
}

/* Allow `need` descriptors. Returns 0, or -1 where this process may not. */
static int
allow(uint64_t need)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return -1;
	if (files.rlim_cur >= need)
		return 0;
	files.rlim_cur = need;
	if (files.rlim_max < need)
		files.rlim_max = need;
	return setrlimit(RLIMIT_NOFILE, &files);
}

static uint64_t
hard_limit(void)
{
	struct rlimit files = { 0, 0 };

	getrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_max;
}

/* The sum as a text: "32 cells x 23 + 256 queued runs x 6 + ... = 4711". */
static void
explain(const struct fd_budget *budget, char *text, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < FD_BUDGET_PARTS && at < size; i++) {
		const struct fd_part *part = &budget->part[i];

		if (part->count > 0)
			at += (size_t)snprintf(text + at, size - at, "%s%" PRIu64 " %s x %" PRIu64, at > 0 ? " + " : "",
			    part->count, part->name, part->each);
	}
	if (at < size)
		snprintf(text + at, size - at, " = %" PRIu64, budget->total);
}

int
fd_budget_reserve(const struct config *config, char *error, size_t size)
{
	struct fd_budget broker;
	char sum[256];
	uint64_t relay;

	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];
		uint64_t most = language->limits.maximum.open_files;

		if (config_is_compiled(language) && language->compile.limits.open_files > most)
			most = language->compile.limits.open_files;
		if (allow(most) == 0)
			continue;
		snprintf(error, size,
		    "%s: limits.open_files: the maximum of %s, %" PRIu64 ", is more than the runner itself may have open "
		    "(%" PRIu64 "); allowed: less, or start it with a higher limit (systemd: LimitNOFILE)",
		    config->path, language->name, most, hard_limit());
		return -1;
	}
	fd_budget_of_broker(config, &broker);
	if (allow(broker.total) != 0) {
		explain(&broker, sum, sizeof sum);
		snprintf(error, size,
		    "%s: runner.cells: the runner may have %" PRIu64 " files open, and can need %s; allowed: fewer cells, "
		    "a shorter runner.queue, or start it with a higher limit (systemd: LimitNOFILE; supervisord: minfds; ulimit -n)",
		    config->path, hard_limit(), sum);
		return -1;
	}
	relay = fd_budget_of_relay(config);
	if (config->network == NETWORK_PROXY && allow(relay) != 0) {
		snprintf(error, size,
		    "%s: network.connections: %u for each of %u cells are up to %" PRIu64 " open files, and the relay may "
		    "have %" PRIu64 "; allowed: fewer, or start the runner with a higher limit (systemd: LimitNOFILE)",
		    config->path, config->connections, config->cells, relay, hard_limit());
		return -1;
	}
	return 0;
}
