/* test_interactor.c - see test_interactor.h. Runs in a thread of the worker. */
#define _GNU_SOURCE
#include "test_interactor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run_pair.h"

#define TEXT_BYTES 1024 /* of what an interactor writes to stderr, in the reply */
#define GRACE_MS 1000   /* that an interactor may take longer than the program */
#define SKEW_US 300000  /* one side had to wait so much longer for its cell than the other that a limit of time says nothing */
#define SKEWED_MOST 3   /* attempts that end so */
#define LINK_WAIT_MS 100

static char arguments[] = REQUEST_TESTS_INPUT "\0" REQUEST_TESTS_OUTPUT "\0" REQUEST_TESTS_ANSWER;

static struct text
name_of(const char *name)
{
	return (struct text){ name, strlen(name) };
}

/*
 * A program and an interactor that wait for each other: the program is to meet its limit first,
 * because it is the one that is tested, and however long that is stretched.
 */
static void
settle_time(const struct tests *tests, const struct test_case *test, struct run_request *interactor)
{
	const struct language_config *language = tests->config->language[tests->request->language];
	uint64_t wanted = config_wall_most_ms(tests->config, language, test->limits.wall_ms) + GRACE_MS;

	if (wanted > interactor->maximum.wall_ms)
		wanted = interactor->maximum.wall_ms;
	if (interactor->limits.wall_ms < wanted)
		interactor->limits.wall_ms = wanted;
}

/* Whether a side met its limit of time, and might not have if both had begun together. */
static bool
is_skewed(const struct run_side side[2])
{
	uint64_t a = side[0].run->result.queue_us, b = side[1].run->result.queue_us;

	return (a > b ? a - b : b - a) > SKEW_US &&
	    (side[0].run->result.verdict == VERDICT_TIMEOUT || side[1].run->result.verdict == VERDICT_TIMEOUT);
}

/* The verdict of the program's own end, unless it was ended because it was judged already. */
static enum test_verdict
judge(const struct test_case *test, const struct run_side side[2], struct test_outcome *outcome)
{
	const struct run_result *program = &side[0].run->result, *interactor = &side[1].run->result;
	enum test_verdict own = test_verdict_of_run(program, test->exit_code, test->limits.cpu_ms);
	enum test_verdict word = test_verdict_of_program(interactor);
	bool has_judged = side[1].was_first && word != TEST_SERVICE_FAULT;

	if (is_skewed(side)) {
		snprintf(outcome->reason, sizeof outcome->reason,
		    "the program and the interactor did not get their cells together");
		return TEST_SERVICE_FAULT;
	}
	/*
	 * An interactor that has ended with its verdict takes the program's input away, so what the
	 * program does then says nothing. Only its use of resources counts after an accepted
	 * dialogue.
	 */
	if (has_judged && word != TEST_ACCEPTED)
		return word;
	if (own != TEST_ACCEPTED && own != TEST_SKIPPED) {
		if (own == TEST_RUNTIME_ERROR)
			snprintf(outcome->reason, sizeof outcome->reason, "status %s, exit code %d",
			    proto_verdict_name((enum verdict)program->verdict), program->exit_code);
		return own;
	}
	if (word == TEST_SERVICE_FAULT)
		snprintf(outcome->reason, sizeof outcome->reason,
		    "the interactor did not judge: its status is %s, its exit code %d",
		    proto_verdict_name((enum verdict)interactor->verdict), interactor->exit_code);
	return word;
}

static void
hear(struct tests *tests, const struct test_case *test, const struct run_side side[2], struct test_outcome *outcome)
{
	const struct run *program = side[0].run, *interactor = side[1].run;

	outcome->has_run = outcome->has_checker = true;
	outcome->result = program->result;
	outcome->checker = interactor->result;
	tests_keep(tests, &program->out, tests->request->tests->output_bytes, &outcome->out);
	tests_keep(tests, &program->err, tests->request->tests->output_bytes, &outcome->err);
	tests_keep(tests, &interactor->err, TEXT_BYTES, &outcome->checker_text);
	outcome->verdict = judge(test, side, outcome);
	outcome->fault = test_fault_of_verdict(outcome->verdict, &outcome->result);
}

/* One attempt. Returns how it ended, and in *failed the run that says why. */
static enum run_end
try_once(struct tests *tests, struct worker *worker, struct run_side side[2], const struct run **failed)
{
	struct run_client client = *tests->client;
	struct runner_link link;
	enum run_end end;

	client.waited_us = 0;
	runner_link_init(&link, tests->config);
	side[1].link = &link;
	end = run_pair(side, tests->config, &client);
	runner_link_close(&link);
	crew_give_link(worker->crew);
	*failed = side[1].end != RUN_ENDED ? side[1].run : side[0].run;
	return end;
}

/* As many attempts as it takes. Returns whether both sides have ended. */
static bool
try_pair(struct tests *tests, struct worker *worker, struct run_side side[2])
{
	struct tests_attempts attempts = { 0 };
	unsigned skewed = 0;

	for (;;) {
		const struct run *failed;
		enum run_end end;

		if (!crew_take_link(worker->crew)) {
			if (!tests_pause(tests, LINK_WAIT_MS))
				return false;
			continue;
		}
		end = try_once(tests, worker, side, &failed);
		if (end == RUN_ENDED && (!is_skewed(side) || ++skewed == SKEWED_MOST))
			return true;
		if (end == RUN_ENDED ? !tests_pause(tests, LINK_WAIT_MS) : !tests_try_again(tests, failed, end, &attempts)) {
			tests_note_left(tests, failed, end);
			return false;
		}
		run_release(side[0].run);
		run_release(side[1].run);
	}
}

bool
test_interactor_run(struct tests *tests, struct worker *worker, const struct test_case *test, struct test_outcome *outcome)
{
	struct request_file files[] = {
		{ .path = name_of(REQUEST_TESTS_INPUT), .content = test->input },
		{ .path = name_of(REQUEST_TESTS_ANSWER), .content = test->answer },
	};
	struct run_request program, interactor = *tests->request->tests->interactor;
	struct run other;
	struct run_side side[2] = { { .run = &worker->run, .link = &worker->link, .request = &program },
		{ .run = &other, .request = &interactor } };
	bool has_ended;

	request_tests_run(tests->request, test, &program);
	program.input = (struct text){ NULL, 0 };
	interactor.is_part = true;
	interactor.tree = NULL;
	interactor.args = (struct block){ arguments, sizeof arguments, 3 };
	interactor.more = (struct request_files){ .file = files, .count = 2, .bytes = test->input.size + test->answer.size };
	settle_time(tests, test, &interactor);
	run_init(&other);
	has_ended = try_pair(tests, worker, side);
	if (has_ended)
		hear(tests, test, side, outcome);
	run_release(&other);
	run_free(&other);
	return has_ended && outcome->verdict != TEST_SKIPPED;
}
