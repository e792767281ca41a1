/*
 * request_tests.h - parses and checks the fields `tests`, `checker`, `interactor`, `stop_on` and
 * `test_output_bytes`: the tests of one program.
 */
#ifndef CELLBLOCK_REQUEST_TESTS_H
#define CELLBLOCK_REQUEST_TESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checker.h"
#include "request.h"

#define REQUEST_TESTS_VALUES 16 /* of JSON, of a test */

/* The files that a checker of the request's own finds, and its arguments, in this order. */
#define REQUEST_TESTS_INPUT "input.txt"
#define REQUEST_TESTS_OUTPUT "output.txt"
#define REQUEST_TESTS_ANSWER "answer.txt"

/* A test. What it does not say is as in the request. */
struct test_case {
	struct json_object *object; /* the request's tree owns it, and the texts */
	struct text id;             /* as JSON has it; NULL: its index stands for it */
	bool is_id_text;            /* else it is a number */
	struct text input;
	struct block args, env; /* bytes are its own if its object has them, else the request's */
	bool has_args, has_env;
	struct request_files files; /* in addition to the request's */
	struct run_limits limits;
	bool has_answer;
	struct text answer;           /* what the program is to write to stdout */
	int exit_code;                /* that it is to have */
	struct request_files expects; /* files that it is to leave */
	struct block collect;         /* their paths */
	struct checker checker;
	struct run_request *program; /* that checks the output; one of request_tests.program. NULL: `checker` does */
	double weight;
};

struct request_tests {
	struct test_case *test; /* NULL: the request has none */
	size_t count;
	bool stops;                   /* after the first test that the program fails */
	uint64_t output_bytes;        /* of each stream of a test, in the reply */
	struct run_request **program; /* checkers of the request's own */
	size_t programs;
	struct run_request *interactor; /* NULL: none */
};

/*
 * Take the tests of a request whose other fields are taken. Returns 0, or -1 with `error` set;
 * request_tests_free is right either way.
 */
int request_tests_take(const struct config *config, struct json_object *tree, struct run_request *request,
    struct http_error *error);

/*
 * Check again that each test has room for its files, because the sizes of stored ones are known
 * now. Returns 0, or -1 with `error` set.
 */
int request_tests_check_bytes(const struct run_request *request, struct http_error *error);

/* Put "tests[N]." in front of the text of an error. Returns -1. */
int request_tests_blame(size_t number, struct http_error *error);

/*
 * The run of a test, whose texts stay the request's: request_free does nothing to it but forget
 * them. The request and its tests must last as long.
 */
void request_tests_run(const struct run_request *request, const struct test_case *test, struct run_request *run);

/* Free the tests and what they own. `tests` may be NULL. */
void request_tests_free(struct request_tests *tests);

#endif
