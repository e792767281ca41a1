/*
 * main.c - cellblock-fcgi, the worker: options and the start. worker.c serves the requests.
 *
 * spawn-fcgi(1) starts it as an ordinary user, with the listening socket as descriptor 0;
 * multiwatch(1) starts several that share the socket.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "autoconfig.h"
#include "lockdown.h"
#include "log.h"
#include "config_load.h"
#include "worker.h"

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock-fcgi -c file\n"
	    "       cellblock-fcgi --help | --version\n\n"
	    "  -c, --config file  the configuration, see cellblock.conf(5)\n\n"
	    "spawn-fcgi(1) or multiwatch(1) starts it, with the listening socket as descriptor 0.\n");
}

static const char *
parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
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
	if (path == NULL || optind != argc) {
		usage(stderr);
		exit(2);
	}
	return path;
}

static void
check_listening(void)
{
	int listening = 0;
	socklen_t size = sizeof listening;

	if (getsockopt(WORKER_LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening)
		die("descriptor 0 is not a listening socket: start the worker with spawn-fcgi(1)");
}

int
main(int argc, char **argv)
{
	struct policy *policy;
	struct config *config;
	char error[512];
	const char *path;

	log_open("cellblock-fcgi");
	path = parse_options(argc, argv);
	lockdown_check();
	check_listening();
	config = config_load(path, error, sizeof error);
	if (config == NULL)
		die("%s", error);
	policy = policy_load(config->policy_dir, "worker", error, sizeof error);
	if (policy == NULL)
		die("%s", error);
	worker_serve(config, policy, NULL);
	policy_free(policy);
	config_free(config);
	return 0;
}
