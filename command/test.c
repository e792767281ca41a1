/*
 * test.c - cellblock test: runs a program with each input of a directory, and compares its output
 * with the answers, as judges do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare.h"
#include "contents.h"
#include "exit_codes.h"
#include "outcome.h"
#include "program.h"
#include "say.h"
#include "service.h"
#include "subcommands.h"
#include "test_cases.h"
#include "test_table.h"

#define ROUTE "/v1/sandbox/run"
#define AT_ONCE 4
#define AT_ONCE_MOST 64

struct options {
	struct program program;
	const char *directory;
	long at_once;
	bool prints_json;
	enum colour colour;
};

/* The threads share this. A test belongs to the thread that has taken it. */
struct course {
	const struct settings *settings;
	const char *before; /* of the request's JSON, up to the input */
	struct test_case *cases;
	size_t count;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t next; /* the first that no thread has taken */
	bool stops;  /* a service that refuses one would refuse all */
};

void
test_usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock test [OPTION]... DIR [FILE]\n\n"
	    "DIR has NAME.in, and NAME.out or NAME.ans, for each test. Without FILE, the program is the one\n"
	    "file of DIR that is neither.\n\n" PROGRAM_USAGE
	    "  -j, --jobs N                tests at the same time, 1 to %d (default: %d)\n"
	    "      --color WHEN            auto, always or never\n"
	    "      --json                  print a list of the results\n"
	    "  -h, --help                  print this\n",
	    AT_ONCE_MOST, AT_ONCE);
}

static void __attribute__((noreturn)) bad_usage(const char *what)
{
	if (what != NULL)
		say_line("%s", what);
	test_usage(stderr);
	exit(EXIT_USE);
}

static long
parse_jobs(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end != '\0' || n < 1 || n > AT_ONCE_MOST)
		bad_usage("--jobs: must be an integer from 1 to 64");
	return n;
}

static enum colour
parse_colour(const char *text)
{
	if (strcmp(text, "always") == 0)
		return COLOUR_ALWAYS;
	if (strcmp(text, "never") == 0)
		return COLOUR_NEVER;
	if (strcmp(text, "auto") != 0)
		bad_usage("--color: must be auto, always or never");
	return COLOUR_AUTO;
}

static void
parse(int argc, char **argv, struct options *options)
{
	static const struct option list[] = {
		PROGRAM_OPTIONS,
		{ "jobs", required_argument, NULL, 'j' },
		{ "color", required_argument, NULL, 'C' },
		{ "json", no_argument, NULL, 'J' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*options = (struct options){ .at_once = AT_ONCE };
	while ((c = getopt_long(argc, argv, PROGRAM_LETTERS "j:h", list, NULL)) != -1) {
		if (program_take_option(&options->program, c, optarg))
			continue;
		switch (c) {
		case 'j':
			options->at_once = parse_jobs(optarg);
			break;
		case 'C':
			options->colour = parse_colour(optarg);
			break;
		case 'J':
			options->prints_json = true;
			break;
		case 'h':
			test_usage(stdout);
			exit(0);
		default:
			bad_usage(NULL);
		}
	}
	if (argc - optind < 1 || argc - optind > 2)
		bad_usage("test: needs a directory, and perhaps a file");
	options->directory = argv[optind];
	options->program.path = optind + 1 < argc ? argv[optind + 1] : NULL;
	if (options->program.path != NULL && strcmp(options->program.path, "-") == 0)
		bad_usage("test: the program must be a file");
}

/* ---- one test ---------------------------------------------------------------------------------------------------- */

/* The verdict for each status of a run that ended otherwise than well. */
static const struct {
	const char *status, *verdict;
} verdicts[] = {
	{ "exit", "runtime_error" },
	{ "signal", "runtime_error" },
	{ "timeout", "time_limit" },
	{ "cpu_limit", "time_limit" },
	{ "memory_limit", "memory_limit" },
	{ "output_limit", "output_limit" },
	{ "process_limit", "runtime_error" },
	{ "disk_limit", "runtime_error" },
	{ "denied", "denied" },
	{ "compile_error", "compile_error" },
	{ "cancelled", "service_fault" },
};

static const char *
verdict_of(const char *status)
{
	for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
		if (strcmp(verdicts[i].status, status) == 0)
			return verdicts[i].verdict;
	}
	return "service_fault"; /* a status of a later version */
}

static void
judge(struct test_case *test, struct json_object *data)
{
	const char *status = outcome_text(data, "status", "");
	struct json_object *out = NULL;

	test->data = json_object_get(data);
	if (strcmp(status, "ok") != 0) {
		test->verdict = verdict_of(status);
		return;
	}
	json_object_object_get_ex(data, "stdout", &out);
	test->verdict = compare_lines(test->answer.bytes, test->answer.size, json_object_get_string(out),
	                    (size_t)json_object_get_string_len(out), &test->difference) == 0 ?
	    "accepted" :
	    "wrong_answer";
}

/* The request for a test. Every thread may call this: it shares nothing but a text. For free(). */
static char *
body_of(const struct course *course, const struct test_case *test)
{
	struct json_object *input = json_object_new_string_len(test->input.bytes, (int)test->input.size);
	char *body;

	if (input == NULL ||
	    asprintf(&body, "%s,\"stdin\":%s}", course->before,
	        json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) < 0)
		say_no_memory();
	json_object_put(input);
	return body;
}

/* Returns whether the other tests make sense. */
static bool
carry_out(const struct course *course, struct http *http, struct test_case *test)
{
	char *body = body_of(course, test);
	const struct http_request post = { .method = "POST", .path = ROUTE, .body = body, .size = strlen(body) };
	struct service_reply reply;
	bool goes_on = true;

	service_call(http, course->settings, &post, &reply);
	if (service_is_success(&reply) && reply.data != NULL) {
		judge(test, reply.data);
		goes_on = strcmp(test->verdict, "compile_error") != 0;
	} else {
		test->verdict = "service_fault";
		test->exit_code = service_exit_code(&reply);
		test->message = strdup(reply.message);
		goes_on = test->exit_code == EXIT_LOST; /* the next one may be luckier */
	}
	service_reply_free(&reply);
	free(body);
	return goes_on;
}

/* ---- all tests --------------------------------------------------------------------------------------------------- */

static struct test_case *
take_next(struct course *course)
{
	struct test_case *test = NULL;

	pthread_mutex_lock(&course->lock);
	if (!course->stops && course->next < course->count)
		test = &course->cases[course->next++];
	pthread_mutex_unlock(&course->lock);
	return test;
}

static void
finish(struct course *course, struct test_case *test, bool goes_on)
{
	pthread_mutex_lock(&course->lock);
	test->is_done = true;
	course->stops = course->stops || !goes_on;
	pthread_cond_broadcast(&course->changed);
	pthread_mutex_unlock(&course->lock);
}

static void *
work(void *context)
{
	struct course *course = context;
	struct http *http = http_open(course->settings);
	struct test_case *test;

	while ((test = take_next(course)) != NULL)
		finish(course, test, carry_out(course, http, test));
	http_close(http);
	return NULL;
}

/* Wait for a test. Returns false if it will not be carried out. */
static bool
wait_for(struct course *course, const struct test_case *test)
{
	bool is_done;

	pthread_mutex_lock(&course->lock);
	while (!test->is_done && !(course->stops && test >= &course->cases[course->next]))
		pthread_cond_wait(&course->changed, &course->lock);
	is_done = test->is_done;
	pthread_mutex_unlock(&course->lock);
	return is_done;
}

/*
 * The first test is alone: it compiles the program, which need be done once, and if the compiler or
 * the service refuses it the others are spared.
 */
static void
carry_out_all(struct course *course, long at_once, struct test_table *table)
{
	struct http *http = http_open(course->settings);
	struct test_case *first = take_next(course);
	pthread_t threads[AT_ONCE_MOST];
	size_t count = 0, wanted = course->count - 1;

	finish(course, first, carry_out(course, http, first));
	http_close(http);
	test_table_row(table, first);
	if (wanted > (size_t)at_once)
		wanted = (size_t)at_once;
	while (count < wanted) {
		if (pthread_create(&threads[count], NULL, work, course) != 0) {
			if (count == 0)
				say_no_memory();
			break;
		}
		count++;
	}
	for (size_t i = 1; i < course->count && wait_for(course, &course->cases[i]); i++)
		test_table_row(table, &course->cases[i]);
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* The exit code for all: the first that a service's fault gave, else whether all were passed. */
static int
exit_code_of(const struct course *course)
{
	int exit_code = 0;

	for (size_t i = 0; i < course->count; i++) {
		if (course->cases[i].exit_code != 0)
			return course->cases[i].exit_code;
		if (course->cases[i].verdict == NULL || strcmp(course->cases[i].verdict, "accepted") != 0)
			exit_code = EXIT_FAILED_TESTS;
	}
	return exit_code;
}

/* The request without an input, as JSON without its last brace. For free(). */
static char *
begin_request(const struct program *program)
{
	struct json_object *request = program_request(program, false);
	char *text = strdup(json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));

	if (text == NULL)
		say_no_memory();
	text[strlen(text) - 1] = '\0';
	json_object_put(request);
	return text;
}

int
test_main(const struct settings *settings, int argc, char **argv)
{
	struct options options;
	struct course course = { .settings = settings, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct test_table *table;
	char *source = NULL, *before;
	int exit_code;

	parse(argc, argv, &options);
	course.cases = test_cases_read(options.directory, &course.count, options.program.path == NULL ? &source : NULL);
	if (source != NULL)
		options.program.path = source;
	course.before = before = begin_request(&options.program);
	table = test_table_open(course.cases, course.count, options.colour, options.prints_json);
	carry_out_all(&course, options.at_once, table);
	test_table_close(table);
	exit_code = exit_code_of(&course);
	test_cases_free(course.cases, course.count);
	program_free(&options.program);
	free(before);
	free(source);
	return exit_code;
}
