/*
 * files.c - cellblock files: puts files into the service's store, and gets them from there. Not
 * every service has one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exit_codes.h"
#include "outcome.h"
#include "say.h"
#include "service.h"
#include "subcommands.h"

#define ROUTE "/v1/sandbox/files"
#define ID_PREFIX "sha256:"
#define ID_DIGITS 64
#define PATH_SIZE (sizeof ROUTE + 1 + sizeof ID_PREFIX + ID_DIGITS)

void
files_usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock files put FILE...\n"
	    "       cellblock files get ID [-o FILE]\n"
	    "       cellblock files delete ID...\n\n"
	    "  -o, --output FILE  where the file is written (default: standard output)\n"
	    "  -h, --help         print this\n");
}

static void __attribute__((noreturn)) bad_usage(const char *what)
{
	say_line("files: %s", what);
	files_usage(stderr);
	exit(EXIT_USE);
}

/* Say why a request has failed. A path that does not exist means that there is no store. */
static int
complain(const struct service_reply *reply, bool names_id)
{
	if (reply->http.end == HTTP_ANSWERED && reply->http.status == 404 && !names_id) {
		say_line("this service keeps no files");
		return EXIT_REFUSED;
	}
	return service_complain(reply);
}

static int
put(struct http *http, const struct settings *settings, const char *path)
{
	struct http_request request = { .method = "PUT", .path = ROUTE, .is_idempotent = true };
	struct service_reply reply;
	struct stat found;
	int exit_code = 0;

	request.file = fopen(path, "re");
	if (request.file == NULL || fstat(fileno(request.file), &found) != 0)
		say_fatal(EXIT_USE, "%s: %s", path, strerror(errno));
	if (!S_ISREG(found.st_mode))
		say_fatal(EXIT_USE, "%s: is not a regular file", path);
	request.size = (size_t)found.st_size;
	service_call(http, settings, &request, &reply);
	fclose(request.file);
	if (service_is_success(&reply) && outcome_text(reply.data, "id", NULL) != NULL)
		printf("%s %s\n", outcome_text(reply.data, "id", ""), path);
	else
		exit_code = complain(&reply, false);
	service_reply_free(&reply);
	return exit_code;
}

static void
path_of(const char *id, char *path)
{
	const char *digits = strncmp(id, ID_PREFIX, strlen(ID_PREFIX)) == 0 ? id + strlen(ID_PREFIX) : "";

	if (strlen(digits) != ID_DIGITS || strspn(digits, "0123456789abcdef") != ID_DIGITS)
		say_fatal(EXIT_USE, "%s: must be sha256: and %d digits of a hexadecimal number", id, ID_DIGITS);
	snprintf(path, PATH_SIZE, "%s/%s", ROUTE, id);
}

static int
write_piece(void *context, const char *bytes, size_t size)
{
	return fwrite(bytes, 1, size, context) == size ? 0 : -1;
}

/* Get a file into `out`. Returns the exit code. */
static int
get_into(struct http *http, const struct settings *settings, const char *id, FILE *out)
{
	char path[PATH_SIZE];
	const struct http_request request = { .method = "GET",
		.path = path,
		.sink = write_piece,
		.context = out,
		.is_idempotent = true };
	struct service_reply reply;
	int exit_code = 0;

	path_of(id, path);
	service_call(http, settings, &request, &reply);
	if (reply.http.end != HTTP_ANSWERED || reply.http.status != 200)
		exit_code = complain(&reply, true);
	service_reply_free(&reply);
	return exit_code;
}

/* A file appears whole or not at all: what was there before stays until then. */
static int
get(struct http *http, const struct settings *settings, const char *id, const char *output)
{
	char path[PATH_SIZE], *part;
	int exit_code;
	FILE *out;

	path_of(id, path); /* before a file is made */
	if (output == NULL) {
		exit_code = get_into(http, settings, id, stdout);
		if (fflush(stdout) != 0)
			say_fatal(EXIT_USE, "standard output: %s", strerror(errno));
		return exit_code;
	}
	if (asprintf(&part, "%s.part", output) < 0)
		say_no_memory();
	out = fopen(part, "we");
	if (out == NULL)
		say_fatal(EXIT_USE, "%s: %s", part, strerror(errno));
	exit_code = get_into(http, settings, id, out);
	if (fclose(out) != 0 || (exit_code == 0 && rename(part, output) != 0)) {
		say_line("%s: %s", output, strerror(errno));
		exit_code = EXIT_USE;
	}
	if (exit_code != 0)
		unlink(part);
	free(part);
	return exit_code;
}

static int delete (struct http *http, const struct settings *settings, const char *id)
{
	char path[PATH_SIZE];
	const struct http_request request = { .method = "DELETE", .path = path, .is_idempotent = true };
	struct service_reply reply;
	int exit_code = 0;

	path_of(id, path);
	service_call(http, settings, &request, &reply);
	if (reply.http.end != HTTP_ANSWERED || reply.http.status < 200 || reply.http.status > 299)
		exit_code = complain(&reply, true);
	service_reply_free(&reply);
	return exit_code;
}

int
files_main(const struct settings *settings, int argc, char **argv)
{
	static const struct option list[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *output = NULL, *what;
	int c, exit_code = 0;
	struct http *http;

	while ((c = getopt_long(argc, argv, "o:h", list, NULL)) != -1) {
		if (c == 'o') {
			output = optarg;
		} else if (c == 'h') {
			files_usage(stdout);
			exit(0);
		} else {
			files_usage(stderr);
			exit(EXIT_USE);
		}
	}
	if (argc - optind < 2)
		bad_usage("put, get or delete, and a name, are needed");
	what = argv[optind++];
	if (strcmp(what, "put") != 0 && strcmp(what, "get") != 0 && strcmp(what, "delete") != 0)
		bad_usage("there are put, get and delete");
	if (strcmp(what, "get") == 0 ? argc - optind != 1 : output != NULL)
		bad_usage("get takes one ID, and only get has an output");
	http = http_open(settings);
	for (; optind < argc && exit_code == 0; optind++) {
		if (strcmp(what, "put") == 0)
			exit_code = put(http, settings, argv[optind]);
		else if (strcmp(what, "get") == 0)
			exit_code = get(http, settings, argv[optind], output);
		else
			exit_code = delete (http, settings, argv[optind]);
	}
	http_close(http);
	return exit_code;
}
