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
#include "config_key.h"
#include "config_load.h"
#include "worker.h"

struct options {
	const char *config_path;
	bool processes;
};

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock-fcgi -c file\n"
	    "       cellblock-fcgi -c file --processes\n"
	    "       cellblock-fcgi --help | --version\n\n"
	    "  -c, --config file  the configuration, see cellblock.conf(5)\n"
	    "  --processes        print how many processes the configuration needs, and end\n\n"
	    "spawn-fcgi(1) or multiwatch(1) starts it, with the listening socket as descriptor 0.\n");
}

static struct options
parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "processes", no_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { NULL, false };
	int c;

	while ((c = getopt_long(argc, argv, "c:", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			options.config_path = optarg;
			break;
		case 'P':
			options.processes = true;
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
	if (options.config_path == NULL || optind != argc) {
		usage(stderr);
		exit(2);
	}
	return options;
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
	struct options options;
	struct key_list keys;
	char error[512];

	log_open("cellblock-fcgi");
	options = parse_options(argc, argv);
	if (!options.processes) {
		lockdown_check();
		check_listening();
	}
	config = config_load(options.config_path, error, sizeof error);
	if (config == NULL)
		die("%s", error);
	if (config->log_format == LOG_FORMAT_JSON)
		log_as_json();
	if (options.processes) {
		printf("%u\n", worker_processes(config));
		return 0;
	}
	if (config_keys_load(config, &keys, error, sizeof error) != 0)
		die("%s", error);
	if (keys.count == 0)
		log_warn("%s: keys.directory: %s has no keys; every request that needs one is answered with 401", config->path,
		    config->key_dir);
	policy = policy_load(config->policy_dir, "worker", error, sizeof error);
	if (policy == NULL)
		die("%s", error);
	worker_serve(config, &keys, policy, NULL);
	policy_free(policy);
	config_keys_free(&keys);
	config_free(config);
	return 0;
}
