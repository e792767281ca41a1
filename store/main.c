/*
 * main.c - cellblock-store: options and the start. It becomes the parent (common/generations.h) of
 * the one process that has the store, for which it starts this program once more.
 *
 * spawn-fcgi(1) or systemd starts it as an ordinary user, with the listening socket as descriptor
 * 0. At SIGHUP the next process waits until the one before it has given up the store's lock;
 * requests wait in the sockets meanwhile.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "autoconfig.h"
#include "config_key.h"
#include "config_load.h"
#include "generation.h"
#include "generations.h"
#include "log.h"
#include "process_title.h"
#include "server.h"
#include "service_start.h"
#include "store.h"

#define GENERATIONS_MOST 2
#define DRAIN_MS 10000 /* more than server.c takes */

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock-store -c file\n"
	    "       cellblock-store -h | -V\n\n"
	    "  -c, --config file  the configuration, see cellblock.conf(5)\n"
	    "  -V, --version      print the version, and end\n"
	    "  -h, --help         print this, and end\n\n"
	    "spawn-fcgi(1) or systemd starts it, with the listening socket as descriptor 0.\n");
}

static const char *
parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "can-continue", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "c:Vh", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'P': /* a parent asks, before it executes this program in its place */
			exit(generations_can_continue(optarg) ? 0 : 1);
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("cellblock-store " PACKAGE_VERSION);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (path == NULL || optind != argc) {
		usage(stderr);
		exit(2);
	}
	return path;
}

static void
serve(const struct config *config, const struct generation *generation)
{
	struct key_list keys;
	struct policy *policy;
	struct store *store = NULL;
	char error[512];
	int dir_fd = -1;

	process_title_set("store");
	generation_die_with_parent(generation);
	umask(077);
	if (config_keys_load(config, &keys, error, sizeof error) != 0)
		die("%s", error);
	policy = policy_load(config->policy_dir, "store", 0, error, sizeof error);
	if (policy == NULL)
		die("%s", error);
	/* From now on the process before it makes room. */
	generation_report(GENERATION_READY);
	if (config->store_bytes > 0)
		store = store_open(config, &dir_fd);
	server_serve(config, &keys, policy, store, dir_fd);
	exit(0);
}

int
main(int argc, char **argv)
{
	const char *path = parse_options(argc, argv);
	struct generations what = { .name = "store",
		.argv = argv,
		.listen_fd = SERVICE_LISTEN_FD,
		.most = GENERATIONS_MOST,
		.drain_ms = DRAIN_MS,
		.moved_signal = SIGTERM };
	struct generation generation;
	struct config *config = service_start("cellblock-store", "store", path, &generation);
	int status;

	if (config != NULL && generation.has_parent)
		serve(config, &generation);
	what.processes = config != NULL;
	status = generations_run(&what);
	config_free(config);
	return status;
}
