/* health.c - cellblock health: whether the service can run programs. */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>

#include "exit_codes.h"
#include "say.h"
#include "service.h"
#include "subcommands.h"

#define TIMEOUT_S 10

void
health_usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock health [--ready]\n\n"
	    "  -r, --ready  ask whether it takes new runs now, too\n"
	    "  -h, --help   print this\n");
}

static const char *
parse(int argc, char **argv)
{
	static const struct option list[] = {
		{ "ready", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = "/health";
	int c;

	while ((c = getopt_long(argc, argv, "rh", list, NULL)) != -1) {
		switch (c) {
		case 'r':
			path = "/readyz";
			break;
		case 'h':
			health_usage(stdout);
			exit(0);
		default:
			health_usage(stderr);
			exit(EXIT_USE);
		}
	}
	if (optind < argc) {
		say_line("health: there is nothing but options: %s", argv[optind]);
		exit(EXIT_USE);
	}
	return path;
}

/* The state now is asked for, so nothing is tried again. */
int
health_main(const struct settings *settings, int argc, char **argv)
{
	const struct http_request get = { .method = "GET",
		.path = parse(argc, argv),
		.timeout_s = TIMEOUT_S,
		.is_idempotent = true };
	struct settings once = *settings;
	struct http *http;
	struct service_reply reply;
	int exit_code = 0;

	once.retry_s = 0;
	http = http_open(&once);
	service_call(http, &once, &get, &reply);
	if (reply.http.end == HTTP_ANSWERED && reply.http.status == 200) {
		printf("ok\n");
	} else {
		say_line("%s", reply.message);
		exit_code = reply.http.end == HTTP_ANSWERED ? EXIT_FAILED_TESTS : EXIT_BUSY;
	}
	service_reply_free(&reply);
	http_close(http);
	return exit_code;
}
