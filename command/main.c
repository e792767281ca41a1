/*
 * main.c - cellblock: runs programs by a Cellblock service, from a shell. It is a client: it knows
 * the routes and nothing else of the service.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "autoconfig.h"
#include "exit_codes.h"
#include "say.h"
#include "subcommands.h"

#define RETRY_MAX_S 86400

static const struct subcommand {
	const char *name;
	int (*main)(const struct settings *settings, int argc, char **argv);
	void (*usage)(FILE *to);
	const char *words;
} subcommands[] = {
	{ "run", run_main, run_usage, "run a program, and end as it does" },
	{ "test", test_main, test_usage, "run a program with each input of a directory" },
	{ "languages", languages_main, languages_usage, "list the languages" },
	{ "health", health_main, health_usage, "say whether the service is well" },
	{ "files", files_main, files_usage, "put files into the service's store, and get them" },
};
#define SUBCOMMANDS (sizeof subcommands / sizeof subcommands[0])

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock [OPTION]... COMMAND [ARGUMENT]...\n"
	    "       cellblock COMMAND --help\n\n"
	    "  -u, --url URL        the service (default: CELLBLOCK_URL, or http://127.0.0.1:8194)\n"
	    "      --config FILE    settings (default: ~/.config/cellblock/cellblock.conf)\n"
	    "      --retry SECONDS  how long to try again while nothing was run (default: 30)\n"
	    "  -h, --help           print this\n"
	    "      --version        print the version\n\n");
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		fprintf(to, "  %-10s %s\n", subcommands[i].name, subcommands[i].words);
	fprintf(to, "\nThe key is in CELLBLOCK_API_KEY or in the file: see cellblock(1).\n");
}

static long
parse_seconds(const char *text)
{
	char *end;
	long seconds;

	errno = 0;
	seconds = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || seconds < 0 || seconds > RETRY_MAX_S)
		say_fatal(EXIT_USE, "--retry: must be an integer from 0 to %d", RETRY_MAX_S);
	return seconds;
}

static const struct subcommand *
find(const char *name)
{
	for (size_t i = 0; i < SUBCOMMANDS; i++) {
		if (strcmp(subcommands[i].name, name) == 0)
			return &subcommands[i];
	}
	say_line("there is no command \"%s\"", name);
	usage(stderr);
	exit(EXIT_USE);
}

int
main(int argc, char **argv)
{
	static const struct option list[] = {
		{ "url", required_argument, NULL, 'u' },
		{ "config", required_argument, NULL, 'c' },
		{ "retry", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *url = NULL, *config = NULL;
	const struct subcommand *subcommand;
	struct settings settings;
	long retry_s = -1;
	int c, status;

	setlocale(LC_CTYPE, ""); /* numbers stay as in C */
	while ((c = getopt_long(argc, argv, "+u:h", list, NULL)) != -1) {
		switch (c) {
		case 'u':
			url = optarg;
			break;
		case 'c':
			config = optarg;
			break;
		case 'r':
			retry_s = parse_seconds(optarg);
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("cellblock " PACKAGE_VERSION);
			return 0;
		default:
			usage(stderr);
			return EXIT_USE;
		}
	}
	if (optind == argc) {
		usage(stderr);
		return EXIT_USE;
	}
	subcommand = find(argv[optind]);
	argc -= optind;
	argv += optind;
	optind = 0; /* for the next getopt_long(3), which begins anew */
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		subcommand->usage(stdout);
		return 0;
	}
	settings_read(&settings, config, url, retry_s);
	srandom((unsigned)getpid() ^ (unsigned)time(NULL));
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		say_no_memory();
	status = subcommand->main(&settings, argc, argv);
	curl_global_cleanup();
	settings_free(&settings);
	return status;
}
