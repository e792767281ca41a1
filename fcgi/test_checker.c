/* test_checker.c - see test_checker.h. Runs in a thread of the worker. */
#define _GNU_SOURCE
#include "test_checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 1024 /* of what a checker writes, in the reply */

static char arguments[] = REQUEST_TESTS_INPUT "\0" REQUEST_TESTS_OUTPUT "\0" REQUEST_TESTS_ANSWER;

static struct text
name_of(const char *name)
{
	return (struct text){ name, strlen(name) };
}

/* Keep its words, and how it ended. */
static enum test_verdict
hear(struct tests *tests, const struct run *run, struct test_outcome *outcome)
{
	enum test_verdict verdict = test_verdict_of_program(&run->result);

	outcome->has_checker = true;
	outcome->checker = run->result;
	tests_keep(tests, run->err.size > 0 ? &run->err : &run->out, TEXT_BYTES, &outcome->checker_text);
	if (verdict == TEST_SERVICE_FAULT)
		snprintf(outcome->reason, sizeof outcome->reason, "the checker did not judge: its status is %s, its exit code %d",
		    proto_verdict_name((enum verdict)run->result.verdict), run->result.exit_code);
	return verdict;
}

enum test_verdict
test_checker_judge(struct tests *tests, struct worker *worker, const struct test_case *test, struct test_outcome *outcome)
{
	struct run *run = &worker->run;
	const struct text output = { run->out.bytes, run->out.size };
	struct request_file files[] = {
		{ .path = name_of(REQUEST_TESTS_INPUT), .content = test->input },
		{ .path = name_of(REQUEST_TESTS_OUTPUT) },
		{ .path = name_of(REQUEST_TESTS_ANSWER), .content = test->answer },
	};
	struct run_request part = *test->program;
	enum test_verdict verdict = TEST_SERVICE_FAULT;
	char *copy;

	/* The next run has the buffers of this one. */
	copy = malloc(output.size + 1);
	if (copy == NULL) {
		snprintf(outcome->reason, sizeof outcome->reason, "no memory for the checker's files");
		return TEST_SERVICE_FAULT;
	}
	memcpy(copy, output.bytes, output.size);
	files[1].content = (struct text){ copy, output.size };
	run_release(run);
	part.is_part = true;
	part.tree = NULL;
	part.args = (struct block){ arguments, sizeof arguments, 3 };
	part.more = (struct request_files){ .file = files,
		.count = 3,
		.bytes = test->input.size + output.size + test->answer.size };
	if (part.more.bytes + part.files.bytes > part.limits.disk_bytes)
		snprintf(outcome->reason, sizeof outcome->reason,
		    "the files of the checker are larger than its limits.disk_bytes");
	else if (tests_run(tests, worker, &part))
		verdict = hear(tests, run, outcome);
	else
		snprintf(outcome->reason, sizeof outcome->reason, "the service could not run the checker");
	free(copy);
	return verdict;
}
