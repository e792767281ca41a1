/* request_tests.c - see request_tests.h. Runs in the worker, over untrusted input. */
#define _GNU_SOURCE
#include "request_tests.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "json_tree.h"

#define ID_BYTES 256
#define WEIGHT_MOST 1e9
#define TOLERANCE_MOST 1e300
#define OUTPUT_BYTES_DEFAULT 4096 /* of each stream of a test, in the reply */
#define STOP_FIRST "first_failure"

/* ---- values ------------------------------------------------------------------------------------------------------ */

/*
 * A name that would be ignored, and nobody would notice, is an error. `names` ends in NULL;
 * `prefix` stands before a name in a message.
 */
static int
check_names(struct json_object *object, const char *const *names, const char *prefix, struct http_error *error)
{
	json_object_object_foreach(object, name, value) {
		size_t i = 0;

		(void)value;
		while (names[i] != NULL && strcmp(names[i], name) != 0)
			i++;
		if (names[i] != NULL)
			continue;
		http_error_set(error, 400, "%s%.64s: there is no such field; there are", prefix, name);
		for (i = 0; names[i] != NULL; i++)
			http_error_append(error, "%s %s", i == 0 ? "" : ",", names[i]);
		return -1;
	}
	return 0;
}

/* A number from 0 to `most`, if it is there. */
static int
take_number(struct json_object *object, const char *label, const char *name, double most, double *number,
    struct http_error *error)
{
	struct json_object *value = json_tree_member(object, name);

	if (value == NULL)
		return 0;
	if (json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double)) {
		*number = json_object_get_double(value);
		if (*number >= 0 && *number <= most)
			return 0;
	}
	return http_error_set(error, 400, "%s.%s: must be a number, and not below 0", label, name);
}

/* ---- checkers ---------------------------------------------------------------------------------------------------- */

static int
refuse_checker(const char *label, struct http_error *error)
{
	http_error_set(error, 400, "%s: must be", label);
	for (size_t i = 0; i < CHECKER_KINDS; i++)
		http_error_append(error, " %s,", checker_names[i]);
	http_error_append(error, " an object with one of these as type, or a program with language and code");
	return -1;
}

static int
take_kind(struct json_object *value, const char *label, struct checker *checker, struct http_error *error)
{
	const char *name = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

	for (size_t i = 0; i < CHECKER_KINDS; i++) {
		if (strcmp(name, checker_names[i]) == 0) {
			*checker = (struct checker){ (enum checker_kind)i, CHECKER_TOLERANCE, CHECKER_TOLERANCE };
			return 0;
		}
	}
	return refuse_checker(label, error);
}

/* Read a program of the request's own. The request owns it, also after an error. */
static int
take_program(const struct config *config, struct json_object *object, const char *label, struct run_request **program,
    struct http_error *error)
{
	struct http_error inner;

	*program = calloc(1, sizeof **program);
	if (*program == NULL) {
		http_error_set(error, 500, "out of memory");
		return -1;
	}
	if (request_take_program(config, object, *program, &inner) != 0) {
		http_error_set(error, inner.status, "%s%s%.440s", label, inner.lists_languages ? ": " : ".", inner.text);
		error->lists_languages = inner.lists_languages;
		return -1;
	}
	if ((*program)->collect.count > 0 || (*program)->wants_network || (*program)->loopback)
		return http_error_set(error, 400, "%s: must have neither collect nor a network", label);
	return 0;
}

/* A program of the request's own has arguments, and finds files, that are not the request's. */
static int
check_own_files(const struct run_request *program, const char *label, struct http_error *error)
{
	static const char *const names[] = { REQUEST_TESTS_INPUT, REQUEST_TESTS_OUTPUT, REQUEST_TESTS_ANSWER };

	if (program->args.count > 0 || program->input.size > 0)
		return http_error_set(error, 400, "%s: must have neither args nor stdin: it gets %s, %s and %s", label, names[0],
		    names[1], names[2]);
	for (size_t i = 0; i < program->files.count; i++) {
		for (size_t j = 0; j < 3; j++) {
			if (strcmp(program->files.file[i].path.bytes, names[j]) == 0)
				return http_error_set(error, 400, "%s.files: %s is the name of a file that it gets", label,
				    names[j]);
		}
	}
	return 0;
}

static int
take_checker_program(const struct config *config, struct json_object *object, const char *label, struct request_tests *tests,
    struct run_request **program, struct http_error *error)
{
	struct run_request **more = realloc(tests->program, (tests->programs + 1) * sizeof *more);

	if (more == NULL)
		return http_error_set(error, 500, "out of memory");
	tests->program = more;
	more[tests->programs++] = NULL;
	if (take_program(config, object, label, &more[tests->programs - 1], error) != 0)
		return -1;
	*program = more[tests->programs - 1];
	return check_own_files(*program, label, error);
}

/* The program with which the tested one talks. */
static int
take_interactor(const struct config *config, struct json_object *tree, struct request_tests *tests, struct http_error *error)
{
	struct json_object *value = json_tree_member(tree, "interactor");

	if (value == NULL)
		return 0;
	if (!json_object_is_type(value, json_type_object))
		return http_error_set(error, 400, "interactor: must be a program with language and code");
	if (json_tree_member(tree, "checker") != NULL)
		return http_error_set(error, 400, "interactor: must not be there together with checker");
	if (take_program(config, value, "interactor", &tests->interactor, error) != 0)
		return -1;
	return check_own_files(tests->interactor, "interactor", error);
}

/* A checker in one of its forms, over what *checker and *program have. */
static int
take_checker(const struct config *config, struct json_object *value, const char *label, struct request_tests *tests,
    struct checker *checker, struct run_request **program, struct http_error *error)
{
	static const char *const names[] = { "type", "absolute", "relative", NULL };

	if (value == NULL)
		return 0;
	if (json_object_is_type(value, json_type_object) && json_tree_member(value, "language") != NULL)
		return take_checker_program(config, value, label, tests, program, error);
	*program = NULL;
	if (!json_object_is_type(value, json_type_object))
		return take_kind(value, label, checker, error);
	if (check_names(value, names, "checker.", error) != 0 ||
	    take_kind(json_tree_member(value, "type"), label, checker, error) != 0)
		return -1;
	if (checker->kind != CHECKER_FLOATS &&
	    (json_tree_member(value, "absolute") != NULL || json_tree_member(value, "relative") != NULL))
		return http_error_set(error, 400, "%s: only the type floats has absolute and relative", label);
	if (json_tree_member(value, "absolute") != NULL || json_tree_member(value, "relative") != NULL)
		checker->absolute = checker->relative = 0; /* what is not named does not help */
	return take_number(value, label, "absolute", TOLERANCE_MOST, &checker->absolute, error) != 0 ?
	    -1 :
	    take_number(value, label, "relative", TOLERANCE_MOST, &checker->relative, error);
}

/* ---- a test ------------------------------------------------------------------------------------------------------ */

int
request_tests_blame(size_t number, struct http_error *error)
{
	char text[HTTP_ERROR_TEXT_SIZE];
	bool lists = error->lists_languages;

	memcpy(text, error->text, sizeof text);
	http_error_set(error, error->status, "tests[%zu]%s%.440s", number, text[0] == ':' ? "" : ".", text);
	error->lists_languages = lists;
	return -1;
}

static int
take_id(struct test_case *test, struct http_error *error)
{
	struct json_object *id = json_tree_member(test->object, "id");

	if (id == NULL)
		return 0;
	test->is_id_text = json_object_is_type(id, json_type_string);
	if (!test->is_id_text && !json_object_is_type(id, json_type_int))
		return http_error_set(error, 400, "id: must be a string or an integer");
	test->id = (struct text){ json_object_get_string(id), strlen(json_object_get_string(id)) };
	if (test->is_id_text)
		test->id = json_tree_text(id);
	return test->id.size <= ID_BYTES ? 0 : http_error_set(error, 400, "id: must not have more than %d bytes", ID_BYTES);
}

/* The files that the program is to leave are collected by their names. */
static int
take_expected_files(const struct config *config, const struct language_config *language, struct json_object *expected,
    struct test_case *test, struct http_error *error)
{
	char *to;

	if (request_files_take(expected, language, &test->limits, &test->expects, error) != 0)
		return -1;
	if (test->expects.count == 0)
		return 0;
	if (test->expects.count > COLLECT_PATTERNS_MOST)
		return http_error_set(error, 400, "files: must not be more than %d", COLLECT_PATTERNS_MOST);
	if (test->expects.bytes > config->collect_bytes)
		return http_error_set(error, 400, "files: this server compares no more than %" PRIu64 " bytes",
		    config->collect_bytes);
	for (size_t i = 0; i < test->expects.count; i++) {
		const struct text *path = &test->expects.file[i].path;

		if (strpbrk(path->bytes, "*?[\\") != NULL || path->size > COLLECT_PATTERN_MOST)
			return http_error_set(error, 400, "files: a path must be short, and without * ? [ and \\");
		test->collect.size += path->size + 1;
	}
	test->collect.bytes = to = malloc(test->collect.size);
	if (to == NULL)
		return http_error_set(error, 500, "out of memory");
	test->collect.count = (uint32_t)test->expects.count;
	for (size_t i = 0; i < test->expects.count; i++) {
		memcpy(to, test->expects.file[i].path.bytes, test->expects.file[i].path.size + 1);
		to += test->expects.file[i].path.size + 1;
	}
	return 0;
}

static int
take_exit_code(struct json_object *expected, int *code, struct http_error *error)
{
	struct json_object *value = json_tree_member(expected, "exit_code");
	int64_t number;

	if (value == NULL)
		return 0;
	number = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;
	if (number < 0 || number > 255)
		return http_error_set(error, 400, "exit_code: must be an integer from 0 to 255");
	*code = (int)number;
	return 0;
}

static int
take_expected_object(const struct config *config, const struct language_config *language, struct json_object *expected,
    struct test_case *test, struct http_error *error)
{
	static const char *const names[] = { "stdout", "exit_code", "files", NULL };
	struct json_object *out = json_tree_member(expected, "stdout");

	if (out != NULL && !json_object_is_type(out, json_type_string))
		return http_error_set(error, 400, "stdout: must be a string");
	if (out != NULL) {
		test->has_answer = true;
		test->answer = json_tree_text(out);
	}
	if (check_names(expected, names, "", error) != 0)
		return -1;
	return take_exit_code(expected, &test->exit_code, error) != 0 ?
	    -1 :
	    take_expected_files(config, language, expected, test, error);
}

/* `expected` is an object, or a string: what the program is to write to stdout. */
static int
take_expected(const struct config *config, const struct language_config *language, struct test_case *test,
    struct http_error *error)
{
	struct json_object *expected = json_tree_member(test->object, "expected");
	struct http_error inner;

	if (expected == NULL)
		return 0;
	if (json_object_is_type(expected, json_type_string)) {
		test->has_answer = true;
		test->answer = json_tree_text(expected);
		return 0;
	}
	if (!json_object_is_type(expected, json_type_object))
		return http_error_set(error, 400, "expected: must be an object or a string");
	if (take_expected_object(config, language, expected, test, &inner) == 0)
		return 0;
	return http_error_set(error, inner.status, "expected.%.450s", inner.text);
}

/* No file of a test may be one of the request's, which are there too. */
static int
check_files(const struct request_files *own, const struct request_files_index *others, struct http_error *error)
{
	for (size_t i = 0; i < own->count; i++) {
		if (request_files_collides(others, &own->file[i]))
			return http_error_set(error, 400, "files[%zu].path: \"%.96s\" is, or is in, a file of the request", i,
			    own->file[i].path.bytes);
	}
	return 0;
}

static int
check_bytes(const struct request_files *own, const struct request_files *others, const struct run_limits *limits,
    struct http_error *error)
{
	if (own->bytes + others->bytes <= limits->disk_bytes)
		return 0;
	return http_error_set(error, 400, "files: have %" PRIu64 " bytes with the request's, and limits.disk_bytes is %" PRIu64,
	    own->bytes + others->bytes, limits->disk_bytes);
}

int
request_tests_check_bytes(const struct run_request *request, struct http_error *error)
{
	const struct request_tests *tests = request->tests;

	for (size_t i = 0; tests != NULL && i < tests->count; i++) {
		if (check_bytes(&tests->test[i].files, &request->files, &tests->test[i].limits, error) != 0)
			return request_tests_blame(i, error);
	}
	return 0;
}

static int
take_run_fields(const struct config *config, const struct run_request *request, const struct request_files_index *index,
    struct test_case *test, struct http_error *error)
{
	struct run_request part = *request;
	int taken;

	test->has_args = json_tree_member(test->object, "args") != NULL;
	test->has_env = json_tree_member(test->object, "env") != NULL;
	taken = request_take_part(config, test->object, &part, error);
	test->input = part.input;
	test->args = part.args;
	test->env = part.env;
	test->files = part.files;
	test->limits = part.limits;
	if (taken != 0)
		return -1;
	return check_bytes(&test->files, &request->files, &test->limits, error) != 0 ? -1 :
	                                                                               check_files(&test->files, index, error);
}

static int
take_test(const struct config *config, struct request_tests *tests, const struct run_request *request,
    const struct request_files_index *index, struct test_case *test, struct http_error *error)
{
	static const char *const names[] = { "id", "stdin", "args", "files", "env", "limits", "expected", "checker", "weight",
		NULL };
	struct json_object *object = test->object;
	const char *fault;

	if (!json_object_is_type(object, json_type_object))
		return http_error_set(error, 400, ": must be an object");
	if (check_names(object, names, "", error) != 0)
		return -1;
	if (take_id(test, error) != 0 || take_run_fields(config, request, index, test, error) != 0 ||
	    take_expected(config, config->language[request->language], test, error) != 0 ||
	    take_checker(config, json_tree_member(object, "checker"), "checker", tests, &test->checker, &test->program, error) !=
	        0)
		return -1;
	if (json_tree_member(object, "weight") != NULL) {
		struct json_object *weight = json_tree_member(object, "weight");

		test->weight = json_object_is_type(weight, json_type_int) || json_object_is_type(weight, json_type_double) ?
		    json_object_get_double(weight) :
		    -1;
		if (!(test->weight >= 0 && test->weight <= WEIGHT_MOST))
			return http_error_set(error, 400, "weight: must be a number from 0 to 1000000000");
	}
	if (tests->interactor != NULL && (test->expects.count > 0 || json_tree_member(object, "checker") != NULL))
		return http_error_set(error, 400, ": must have neither expected.files nor a checker beside an interactor");
	fault = test->has_answer && test->program == NULL && tests->interactor == NULL ?
	    checker_fault(&test->checker, &test->answer) :
	    NULL;
	return fault == NULL ? 0 : http_error_set(error, 400, "expected.stdout: %s", fault);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static int
take_stop(struct json_object *tree, struct request_tests *tests, struct http_error *error)
{
	struct json_object *value = json_tree_member(tree, "stop_on");
	const char *word = value != NULL && json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

	if (value == NULL || strcmp(word, "none") == 0)
		return 0;
	tests->stops = strcmp(word, STOP_FIRST) == 0;
	return tests->stops ? 0 : http_error_set(error, 400, "stop_on: must be \"" STOP_FIRST "\" or \"none\"");
}

static int
take_output_bytes(struct json_object *tree, const struct run_request *request, struct request_tests *tests,
    struct http_error *error)
{
	struct json_object *value = json_tree_member(tree, "test_output_bytes");
	int64_t number;

	tests->output_bytes = OUTPUT_BYTES_DEFAULT;
	if (value == NULL)
		return 0;
	number = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;
	if (number < 0 || (uint64_t)number > request->maximum.output_bytes)
		return http_error_set(error, 400, "test_output_bytes: must be an integer from 0 to %" PRIu64,
		    request->maximum.output_bytes);
	tests->output_bytes = (uint64_t)number;
	return 0;
}

static int
take_all(const struct config *config, struct json_object *tree, struct json_object *list, struct run_request *request,
    struct http_error *error)
{
	struct request_tests *tests = request->tests;
	struct test_case usual = { .weight = 1, .checker = { CHECKER_LINES, CHECKER_TOLERANCE, CHECKER_TOLERANCE } };
	size_t count = json_object_array_length(list);
	struct request_files_index index;
	int taken = 0;

	if (count > config->tests_most)
		return http_error_set(error, 400, "tests: must not be more than %" PRIu32, config->tests_most);
	if (request->collect.count > 0)
		return http_error_set(error, 400, "collect: must not be there together with tests; see expected.files");
	if (take_stop(tree, tests, error) != 0 || take_output_bytes(tree, request, tests, error) != 0 ||
	    take_interactor(config, tree, tests, error) != 0 ||
	    take_checker(config, json_tree_member(tree, "checker"), "checker", tests, &usual.checker, &usual.program, error) != 0)
		return -1;
	tests->test = calloc(count, sizeof *tests->test);
	if (tests->test == NULL)
		return http_error_set(error, 500, "out of memory");
	if (request_files_index(&request->files, &index, error) != 0)
		return -1;
	while (tests->count < count && taken == 0) {
		struct test_case *test = &tests->test[tests->count];

		*test = usual;
		test->object = json_object_array_get_idx(list, tests->count++);
		taken = take_test(config, tests, request, &index, test, error);
	}
	free(index.file);
	return taken == 0 ? 0 : request_tests_blame(tests->count - 1, error);
}

int
request_tests_take(const struct config *config, struct json_object *tree, struct run_request *request, struct http_error *error)
{
	struct json_object *list = json_tree_member(tree, "tests");

	if (list != NULL && !json_object_is_type(list, json_type_array))
		return http_error_set(error, 400, "tests: must be a list of objects");
	if (list == NULL || json_object_array_length(list) == 0)
		return 0;
	if (config->tests_most == 0)
		return http_error_set(error, 400, "tests: this server takes none");
	request->tests = calloc(1, sizeof *request->tests);
	if (request->tests == NULL)
		return http_error_set(error, 500, "out of memory");
	return take_all(config, tree, list, request, error);
}

void
request_tests_run(const struct run_request *request, const struct test_case *test, struct run_request *run)
{
	*run = *request;
	run->is_part = true;
	run->tree = NULL;
	run->tests = NULL;
	run->input = test->input;
	run->args = test->args;
	run->env = test->env;
	run->limits = test->limits;
	run->more = test->files;
	run->collect = test->collect;
}

void
request_tests_free(struct request_tests *tests)
{
	if (tests == NULL)
		return;
	for (size_t i = 0; i < tests->count; i++) {
		struct test_case *test = &tests->test[i];

		if (test->has_args)
			free(test->args.bytes);
		if (test->has_env)
			free(test->env.bytes);
		free(test->collect.bytes);
		request_files_free(&test->files);
		request_files_free(&test->expects);
	}
	for (size_t i = 0; i < tests->programs; i++) {
		if (tests->program[i] != NULL)
			request_free(tests->program[i]);
		free(tests->program[i]);
	}
	if (tests->interactor != NULL)
		request_free(tests->interactor);
	free(tests->interactor);
	free(tests->program);
	free(tests->test);
	free(tests);
}
