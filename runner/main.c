/*
 * main.c - cellblock-runner: its options. It hands over to start/ to serve, or to check/ to look or
 * to clean up. The program that serves starts itself once more, as its parent decides.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "autoconfig.h"
#include "check/check_config.h"
#include "check/check_host.h"
#include "check/clean.h"
#include "check/policy_dump.h"
#include "check/stock.h"
#include "config.h"
#include "config_load.h"
#include "generation.h"
#include "generations.h"
#include "log.h"
#include "start/host.h"
#include "start/parent.h"
#include "start/start.h"

#define ERROR_SIZE 512

struct options {
	const char *config_path;
	bool check_config;
	bool check_host;
	bool clean;
	const char *explained; /* a policy's name */
	const char *stock;     /* how many trees */
};

static void
usage(FILE *to)
{
	fputs("usage: cellblock-runner [-c FILE] [--check-config | --check-host | --explain-policy NAME | --clean |\n"
	      "                         --make-stock N]\n"
	      "  -c, --config FILE  the configuration (default " SYSCONFDIR "/cellblock/cellblock.conf)\n"
	      "  --check-config     say whether the configuration is good, and end\n"
	      "  --check-host       say what this host offers, layer by layer, and end\n"
	      "  --explain-policy NAME  print what becomes of each system call under a policy, and why, and end\n"
	      "  --clean            remove what a runner with this configuration left on the host, and end\n"
	      "  --make-stock N     make N trees of /usr in isolation.chroot_stock, for an image, and end\n"
	      "  -V, --version      print the version, and end\n"
	      "  -h, --help         print this, and end\n",
	    to);
}

static struct options
parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "check-host", no_argument, NULL, 'H' },
		{ "explain-policy", required_argument, NULL, 'E' },
		{ "clean", no_argument, NULL, 'R' },
		{ "make-stock", required_argument, NULL, 'S' },
		{ "can-continue", required_argument, NULL, 'P' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { .config_path = SYSCONFDIR "/cellblock/cellblock.conf" };
	int option;

	while ((option = getopt_long(argc, argv, "c:Vh", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			options.config_path = optarg;
			break;
		case 'C':
			options.check_config = true;
			break;
		case 'H':
			options.check_host = true;
			break;
		case 'E':
			options.explained = optarg;
			break;
		case 'R':
			options.clean = true;
			break;
		case 'S':
			options.stock = optarg;
			break;
		case 'P': /* a parent asks, before it executes this program in its place */
			exit(generations_can_continue(optarg) ? 0 : 1);
		case 'V':
			puts("cellblock-runner " PACKAGE_VERSION);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc) {
		usage(stderr);
		exit(2);
	}
	return options;
}

int
main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct generation generation;
	char error[ERROR_SIZE];
	struct config *config;
	bool serves = !options.check_config && !options.check_host && !options.clean && options.explained == NULL &&
	    options.stock == NULL;
	int status;

	log_open("cellblock-runner");
	generation_find(&generation);
	/* The process that started this program may have left descriptors open without knowing. */
	if (generation.has_parent)
		syscall(SYS_close_range, GENERATION_LISTEN_FD + 1u, ~0u, 0u);
	else if (!generations_continue())
		syscall(SYS_close_range, 3u, ~0u, 0u);
	config = config_load(options.config_path, error, sizeof error);
	if (config == NULL) {
		if (options.check_config)
			fprintf(stderr, "%s\n", error);
		else
			log_warn("%s", error);
		return serves && generations_continue() ? parent_run(NULL, argv) : 1;
	}
	if (geteuid() == 0 && !options.check_config && options.explained == NULL && options.stock == NULL &&
	    (generation.has_parent || !serves))
		host_leave_chroot();
	if (options.explained != NULL) {
		status = policy_dump(config->policy_dir, options.explained);
	} else if (options.stock != NULL) {
		status = stock(config, options.stock);
	} else if (options.check_config) {
		status = check_config(config);
	} else if (options.check_host) {
		status = check_host(config);
	} else if (options.clean) {
		status = clean(config);
	} else {
		if (config->log_format == LOG_FORMAT_JSON)
			log_as_json();
		status = generation.has_parent ? start_serve(config, &generation) : parent_run(config, argv);
	}
	config_free(config);
	return status;
}
