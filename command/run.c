/* run.c - cellblock run: runs a program, and ends as it does. */
#define _GNU_SOURCE
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contents.h"
#include "events.h"
#include "exit_codes.h"
#include "outcome.h"
#include "program.h"
#include "received.h"
#include "say.h"
#include "service.h"
#include "subcommands.h"
#include "watch.h"

#define ROUTE "/v1/sandbox/run"
#define DEFAULT_DIRECTORY "cellblock-files"

struct options {
	struct program program;
	struct json_object *args, *collect; /* NULL: none */
	const char *directory;              /* for what is collected */
	bool prints_json, watches;
};

void
run_usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock run [OPTION]... FILE [-- ARGUMENT...] [<STDIN]\n\n" PROGRAM_USAGE
	    "  -c, --collect PATTERN       return files that the program has written, such as 'out/**'\n"
	    "  -d, --directory DIR         where they are written (default: " DEFAULT_DIRECTORY ")\n"
	    "  -j, --json                  print the service's whole answer\n"
	    "  -w, --watch                 run again each time FILE or a --file changes\n"
	    "  -h, --help                  print this\n\n"
	    "FILE may be -, for a program on standard input.\n");
}

static void
append(struct json_object **list, const char *text)
{
	struct json_object *value = json_object_new_string(text);

	if (*list == NULL)
		*list = json_object_new_array();
	if (*list == NULL || value == NULL || json_object_array_add(*list, value) != 0)
		say_no_memory();
}

static void __attribute__((noreturn)) bad_usage(const char *what)
{
	if (what != NULL)
		say_line("%s", what);
	run_usage(stderr);
	exit(EXIT_USE);
}

/* Everything after FILE is the program's, also without "--". */
static void
parse(int argc, char **argv, struct options *options)
{
	static const struct option list[] = {
		PROGRAM_OPTIONS,
		{ "collect", required_argument, NULL, 'c' },
		{ "directory", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "watch", no_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*options = (struct options){ .directory = DEFAULT_DIRECTORY };
	while ((c = getopt_long(argc, argv, "+" PROGRAM_LETTERS "c:d:jwh", list, NULL)) != -1) {
		if (program_take_option(&options->program, c, optarg))
			continue;
		switch (c) {
		case 'c':
			append(&options->collect, optarg);
			break;
		case 'd':
			options->directory = optarg;
			break;
		case 'j':
			options->prints_json = true;
			break;
		case 'w':
			options->watches = true;
			break;
		case 'h':
			run_usage(stdout);
			exit(0);
		default:
			bad_usage(NULL);
		}
	}
	if (optind == argc)
		bad_usage("run: FILE is missing");
	options->program.path = argv[optind++];
	if (optind < argc && strcmp(argv[optind], "--") == 0)
		optind++;
	for (; optind < argc; optind++)
		append(&options->args, argv[optind]);
	if (options->watches && strcmp(options->program.path, "-") == 0)
		bad_usage("--watch: standard input cannot be watched; give a file");
}

/* The program's input, if this command's is not a terminal. NULL: none. */
static struct json_object *
read_input(const struct program *program)
{
	struct contents contents;
	struct json_object *input;

	if (strcmp(program->path, "-") == 0 || isatty(STDIN_FILENO))
		return NULL;
	if (contents_read_stdin(&contents) != 0) {
		if (errno == EBADF)
			return NULL;
		say_fatal(EXIT_USE, "standard input: %s", strerror(errno));
	}
	if (!contents_is_utf8(&contents))
		say_fatal(EXIT_USE, "standard input is not UTF-8; give it to the program by --file");
	input = contents.size == 0 || contents.size > INT_MAX ? NULL :
	                                                        json_object_new_string_len(contents.bytes, (int)contents.size);
	free(contents.bytes);
	return input;
}

/* Show a result. Returns the exit code for it. */
static int
show(const struct options *options, const struct service_reply *reply)
{
	struct json_object *data = reply->data;
	int exit_code = outcome_exit_code(data);

	/* Events are on the terminal already. */
	if (!options->prints_json && !reply->http.was_taken && outcome_print(data) != 0)
		say_fatal(EXIT_USE, "standard output: %s", strerror(errno));
	outcome_explain(data);
	if (options->collect != NULL && received_write(data, options->directory) != 0 && exit_code == 0)
		exit_code = EXIT_USE;
	return exit_code;
}

/* Send the request and show the answer. Returns the exit code. */
static int
perform(const struct settings *settings, const struct options *options, struct json_object *request)
{
	const char *body = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	struct events events = { .line = NULL };
	struct http *http = http_open(settings);
	struct service_reply reply;
	struct http_request post = { .method = "POST", .path = ROUTE, .body = body, .size = strlen(body) };
	int exit_code;

	/* A service that has no events gives one answer, whatever is asked for. */
	if (!options->prints_json) {
		post.accept = EVENTS_TYPE ", application/json;q=0.9";
		post.sink = events_take;
		post.sink_type = EVENTS_TYPE;
		post.settle = events_settle;
		post.context = &events;
	}
	service_call(http, settings, &post, &reply);
	if (options->prints_json && reply.tree != NULL)
		printf("%s\n",
		    json_object_to_json_string_ext(reply.tree, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	exit_code = service_is_success(&reply) && reply.data != NULL ? show(options, &reply) : service_complain(&reply);
	events_free(&events);
	service_reply_free(&reply);
	http_close(http);
	return exit_code;
}

/* Read the program and run it. Returns the exit code. */
static int
run_once(const struct settings *settings, const struct options *options, struct json_object *input)
{
	struct json_object *request = program_request(&options->program, options->watches);
	int exit_code;

	if (request == NULL)
		return EXIT_USE;
	if (input != NULL)
		json_object_object_add(request, "stdin", json_object_get(input));
	if (options->args != NULL)
		json_object_object_add(request, "args", json_object_get(options->args));
	if (options->collect != NULL)
		json_object_object_add(request, "collect", json_object_get(options->collect));
	exit_code = perform(settings, options, request);
	json_object_put(request);
	return exit_code;
}

/* Run again after each change, until a signal ends this. */
static void __attribute__((noreturn))
run_always(const struct settings *settings, const struct options *options, struct json_object *input)
{
	size_t count = options->program.file_count + 1;
	const char **paths = calloc(count, sizeof *paths);
	struct watch *watch;

	if (paths == NULL)
		say_no_memory();
	paths[0] = options->program.path;
	for (size_t i = 1; i < count; i++)
		paths[i] = program_path_of(&options->program, i - 1);
	watch = watch_open(paths, count);
	for (;;) {
		int exit_code = run_once(settings, options, input);

		say_line("exit code %d; waiting for a change of %s", exit_code, options->program.path);
		watch_wait(watch);
	}
}

int
run_main(const struct settings *settings, int argc, char **argv)
{
	struct options options;
	struct json_object *input;
	int exit_code;

	parse(argc, argv, &options);
	input = read_input(&options.program);
	if (options.watches)
		run_always(settings, &options, input);
	exit_code = run_once(settings, &options, input);
	json_object_put(input);
	json_object_put(options.args);
	json_object_put(options.collect);
	program_free(&options.program);
	return exit_code;
}
