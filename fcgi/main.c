/*
 * main.c - cellblock-fcgi, the worker and the status process: options and the start. worker.c and
 * status_server.c serve the requests.
 *
 * spawn-fcgi(1) or systemd starts it as an ordinary user, with the listening socket as descriptor
 * 0. It becomes the parent (common/generations.h) of the worker processes, or of the one status
 * process, for each of which it starts this program once more. They share the socket.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "autoconfig.h"
#include "config_key.h"
#include "config_load.h"
#include "generation.h"
#include "generations.h"
#include "log.h"
#include "service_start.h"
#include "status_server.h"
#include "worker.h"

#define PROCESSES_MAX 4096
#define GENERATIONS_MOST 8 /* of workers that finish long runs while keys and limits change */

struct options {
	const char *config_path;
	uint32_t processes; /* 0: as many as the configuration needs */
	bool is_status;     /* be the status process, of which there is one */
};

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock-fcgi [--processes N] -c file\n"
	    "       cellblock-fcgi --status -c file\n"
	    "       cellblock-fcgi -h | -V\n\n"
	    "  -c, --config file  the configuration, see cellblock.conf(5)\n"
	    "      --processes N  worker processes; default: as many as all runs need that may run or wait\n"
	    "      --status       answer how the service is, instead of requests to run code\n"
	    "  -V, --version      print the version, and end\n"
	    "  -h, --help         print this, and end\n\n"
	    "spawn-fcgi(1) or systemd starts it, with the listening socket as descriptor 0.\n");
}

static uint32_t
parse_processes(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end != '\0' || number < 1 || number > PROCESSES_MAX) {
		fprintf(stderr, "cellblock-fcgi: --processes: must be a number from 1 to %d\n", PROCESSES_MAX);
		exit(2);
	}
	return (uint32_t)number;
}

static struct options
parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "processes", required_argument, NULL, 'p' },
		{ "status", no_argument, NULL, 's' },
		{ "can-continue", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct options chosen = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "c:Vh", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			chosen.config_path = optarg;
			break;
		case 'p':
			chosen.processes = parse_processes(optarg);
			break;
		case 's':
			chosen.is_status = true;
			break;
		case 'P': /* a parent asks, before it executes this program in its place */
			exit(generations_can_continue(optarg) ? 0 : 1);
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("cellblock-fcgi " PACKAGE_VERSION);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (chosen.config_path == NULL || optind != argc || (chosen.is_status && chosen.processes != 0)) {
		usage(stderr);
		exit(2);
	}
	return chosen;
}

/* Be the parent of the workers. `config` is NULL for a parent that continues with a bad one. */
static int
parent_run(const struct config *config, const struct options *options, char *const *argv)
{
	struct generations what = { .name = options->is_status ? "status" : "worker",
		.argv = argv,
		.listen_fd = SERVICE_LISTEN_FD,
		.most = GENERATIONS_MOST,
		.moved_signal = SIGTERM };

	if (config != NULL) {
		what.processes = options->is_status ? 1 : options->processes != 0 ? options->processes : worker_processes(config);
		what.drain_ms = config->drain_ms;
	}
	return generations_run(&what);
}

static void
report_ready(void)
{
	generation_report(GENERATION_READY);
}

/* Be a worker. */
static void
serve(const struct config *config, const struct generation *generation, bool is_status)
{
	struct key_list keys;
	struct policy *policy;
	char error[512];

	generation_die_with_parent(generation);
	if (config_keys_load(config, &keys, error, sizeof error) != 0)
		die("%s", error);
	if (keys.count == 0)
		log_warn("%s: keys.directory: %s has no keys; every request that needs one is answered with 401", config->path,
		    config->key_dir);
	policy = policy_load(config->policy_dir, is_status ? "status" : "worker", 0, error, sizeof error);
	if (policy == NULL)
		die("%s", error);
	if (is_status)
		status_server(config, &keys, policy, report_ready);
	else
		worker_serve(config, &keys, policy, generation->replaces, report_ready);
	policy_free(policy);
	config_keys_free(&keys);
}

int
main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct generation generation;
	struct config *config = service_start("cellblock-fcgi", "worker", options.config_path, &generation);
	int status = 0;

	if (config != NULL && generation.has_parent)
		serve(config, &generation, options.is_status);
	else
		status = parent_run(config, &options, argv);
	config_free(config);
	return status;
}
