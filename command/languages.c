/* languages.c - cellblock languages: lists what the service can run. */
#define _GNU_SOURCE
#include <getopt.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "outcome.h"
#include "say.h"
#include "service.h"
#include "subcommands.h"

#define TIMEOUT_S 15

enum form { TABLE, NAMES, JSON };

void
languages_usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock languages [--names | --json]\n\n"
	    "      --names  print the names of those that are available, one a line\n"
	    "  -j, --json   print the service's whole answer\n"
	    "  -h, --help   print this\n");
}

static enum form
parse(int argc, char **argv)
{
	static const struct option list[] = {
		{ "names", no_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	enum form form = TABLE;
	int c;

	while ((c = getopt_long(argc, argv, "jh", list, NULL)) != -1) {
		switch (c) {
		case 'n':
			form = NAMES;
			break;
		case 'j':
			form = JSON;
			break;
		case 'h':
			languages_usage(stdout);
			exit(0);
		default:
			languages_usage(stderr);
			exit(EXIT_USE);
		}
	}
	if (optind < argc) {
		say_line("languages: there is nothing but options: %s", argv[optind]);
		exit(EXIT_USE);
	}
	return form;
}

/* A text for a table, without control characters; for free(). */
static char *
cell(struct json_object *language, const char *name)
{
	char *text = strdup(outcome_text(language, name, ""));

	if (text == NULL)
		say_no_memory();
	say_clean(text);
	return text;
}

static void
print_row(struct json_object *language)
{
	char *name = cell(language, "name"), *version = cell(language, "version"), *start = cell(language, "start");
	char *reason = cell(language, "reason");
	struct json_object *available = NULL;

	json_object_object_get_ex(language, "available", &available);
	printf("%-12s %-8s %s%s%s\n", name, json_object_get_boolean(available) ? start : "-",
	    json_object_get_boolean(available) ? version : "not available", *reason != '\0' ? ": " : "", reason);
	free(name);
	free(version);
	free(start);
	free(reason);
}

static void
print_list(struct json_object *data, enum form form)
{
	struct json_object *languages = NULL, *available;

	json_object_object_get_ex(data, "languages", &languages);
	if (!json_object_is_type(languages, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(languages); i++) {
		struct json_object *language = json_object_array_get_idx(languages, i);

		if (form == TABLE)
			print_row(language);
		else if (json_object_object_get_ex(language, "available", &available) && json_object_get_boolean(available))
			printf("%s\n", outcome_text(language, "name", ""));
	}
}

int
languages_main(const struct settings *settings, int argc, char **argv)
{
	const struct http_request get = { .method = "GET",
		.path = "/v1/sandbox/languages",
		.timeout_s = TIMEOUT_S,
		.is_idempotent = true };
	enum form form = parse(argc, argv);
	struct http *http = http_open(settings);
	struct service_reply reply;
	int exit_code = 0;

	service_call(http, settings, &get, &reply);
	if (!service_is_success(&reply))
		exit_code = service_complain(&reply);
	else if (form == JSON)
		printf("%s\n",
		    json_object_to_json_string_ext(reply.tree, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_list(reply.data, form);
	service_reply_free(&reply);
	http_close(http);
	return exit_code;
}
