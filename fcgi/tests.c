/*
 * tests.c - see tests.h. Runs in a thread of the worker, which the others help.
 *
 * The threads share one list and a number, the next test. Each takes one test after the other, and
 * waits for its end on its own connection to the runner. So no more than one test of each thread is
 * on its way, and the runner's queue stays the only queue.
 */
#define _GNU_SOURCE
#include "tests.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "events.h"
#include "json_text.h"
#include "log.h"
#include "log_limit.h"
#include "test_checker.h"
#include "test_interactor.h"

#define PAUSE_MIN_MS 20 /* before a test that was refused is tried again */
#define PAUSE_MAX_MS 1000
#define AWAY_MS 5000   /* that a runner may be away before the tests are given up */
#define SHOWN_MOST 300 /* bytes of a compiler's output in an error */
#define FAULTS_MOST 3  /* of the runner, with one test */

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

void
tests_keep(struct tests *tests, const struct output *output, uint64_t most_bytes, struct kept *kept)
{
	size_t size = output->size < most_bytes ? output->size : (size_t)most_bytes, length;

	*kept = (struct kept){ .written = output->size };
	size = json_text_fit(output->bytes, size, (uint64_t)size * RUN_ESCAPES + JSON_TEXT_MAX);
	size = size < output->size ? json_text_trim(output->bytes, size) : size;
	if (size == 0)
		return;
	length = json_text_length(output->bytes, size);
	pthread_mutex_lock(&tests->lock);
	if (length > tests->kept_left)
		length = 0;
	tests->kept_left -= length;
	pthread_mutex_unlock(&tests->lock);
	if (length > 0 && (kept->bytes = malloc(size)) != NULL) {
		memcpy(kept->bytes, output->bytes, size);
		kept->size = size;
	}
}

static void
keep_difference(struct test_outcome *outcome, const struct check_difference *difference)
{
	if (!difference->is_known)
		return;
	outcome->difference.is_known = true;
	outcome->difference.line = difference->line;
	outcome->difference.column = difference->column;
	outcome->difference.expected_size = json_text_trim(difference->expected.bytes, difference->expected.size);
	outcome->difference.got_size = json_text_trim(difference->got.bytes, difference->got.size);
	memcpy(outcome->difference.expected, difference->expected.bytes, outcome->difference.expected_size);
	memcpy(outcome->difference.got, difference->got.bytes, outcome->difference.got_size);
}

/* ---- the course of it -------------------------------------------------------------------------------------------- */

static uint64_t
deadline_us(const struct tests *tests)
{
	return tests->began_us + tests->config->tests_ms * 1000;
}

/* No more tests are begun. The first reason stays. */
static void
end_all(struct tests *tests, const char *why)
{
	pthread_mutex_lock(&tests->lock);
	if (!tests->is_over)
		tests->why_over = why;
	tests->is_over = true;
	pthread_mutex_unlock(&tests->lock);
}

static bool
is_over(struct tests *tests)
{
	bool over;

	pthread_mutex_lock(&tests->lock);
	over = tests->is_over;
	pthread_mutex_unlock(&tests->lock);
	return over;
}

/* Take the next test. Returns false if there is none to begin. */
static bool
take_next(struct tests *tests, size_t *number)
{
	bool has_next;

	if (clock_us() >= deadline_us(tests))
		end_all(tests, "the time of the request is up");
	pthread_mutex_lock(&tests->lock);
	has_next = !tests->is_over && tests->next < tests->count && tests->next < tests->failed;
	if (has_next)
		*number = tests->next++;
	pthread_mutex_unlock(&tests->lock);
	return has_next;
}

bool
tests_pause(struct tests *tests, uint64_t ms)
{
	struct pollfd wait[] = { { .fd = tests->client->fd, .events = POLLRDHUP },
		{ .fd = tests->client->cut_fd, .events = POLLIN } };
	uint64_t now_us = clock_us(), until_us = deadline_us(tests);

	if (now_us >= until_us || is_over(tests))
		return false;
	ms = ms < PAUSE_MIN_MS ? PAUSE_MIN_MS : ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
	if (ms > (until_us - now_us) / 1000)
		ms = (until_us - now_us) / 1000 + 1;
	if (poll(wait, 2, (int)ms) <= 0)
		return true;
	if (wait[0].revents == 0 && wait[1].revents == 0)
		return true;
	end_all(tests, wait[0].revents != 0 ? "the client has gone" : "this worker ends");
	return false;
}

bool
tests_try_again(struct tests *tests, const struct run *run, enum run_end end, struct tests_attempts *attempts)
{
	bool is_away = end == RUN_NO_RUNNER || (end == RUN_REFUSED && run->refused.refusal == REFUSED_STOPPING);

	if (!is_away)
		attempts->away_us = 0;
	else if (attempts->away_us == 0)
		attempts->away_us = clock_us();
	else if (clock_us() - attempts->away_us > AWAY_MS * 1000)
		return false;
	if (is_away)
		return tests_pause(tests, PAUSE_MIN_MS);
	if (end != RUN_REFUSED)
		return false;
	switch ((enum refusal)run->refused.refusal) {
	case REFUSED_BUSY:
	case REFUSED_RATE:
	case REFUSED_SHARE:
		return tests_pause(tests, run->refused.retry_ms);
	case REFUSED_UNAVAILABLE:
	case REFUSED_FAULT:
		return ++attempts->faults < FAULTS_MOST && tests_pause(tests, PAUSE_MAX_MS);
	case REFUSED_MISSING:
	case REFUSED_MALFORMED:
	case REFUSED_STOPPING:
	case REFUSED_LOST:
	case REFUSED_TOO_LARGE:
		break;
	}
	return false;
}

void
tests_note_left(struct tests *tests, const struct run *run, enum run_end end)
{
	if (end == RUN_ENDED)
		end_all(tests, "the client has gone");
	else if (end == RUN_NO_RUNNER || (end == RUN_REFUSED && run->refused.refusal == REFUSED_STOPPING))
		end_all(tests, "the runner is away");
	else if (end == RUN_LOST)
		tests_pause(tests, PAUSE_MIN_MS); /* it may be this process that ends: this sees to that */
	pthread_mutex_lock(&tests->lock);
	if (tests->left == RUN_ENDED && end != RUN_ENDED) {
		tests->left = end;
		tests->refused = run->refused;
		memcpy(tests->cause, run->cause, sizeof tests->cause);
	}
	pthread_mutex_unlock(&tests->lock);
}

bool
tests_run(struct tests *tests, struct worker *worker, const struct run_request *request)
{
	struct tests_attempts attempts = { 0 };
	struct run *run = &worker->run;
	struct run_client client = *tests->client;
	enum run_end end;

	client.waited_us = 0;
	for (;;) {
		struct run_request part = *request;

		end = run_perform(run, &worker->link, tests->config, &part, &client);
		if (end == RUN_ENDED || !tests_try_again(tests, run, end, &attempts))
			break;
		run_release(run);
	}
	if (end == RUN_ENDED && run->result.verdict != VERDICT_CANCELLED)
		return true;
	tests_note_left(tests, run, end);
	return false;
}

/* ---- one test ---------------------------------------------------------------------------------------------------- */

/* Compare the files that the program has left with those that it was to leave. */
static enum test_verdict
judge_files(const struct test_case *test, const struct collected *found, struct test_outcome *outcome)
{
	if (test->expects.count > 0 && found->incomplete != NULL) {
		snprintf(outcome->reason, sizeof outcome->reason, "the files could not all be read: %s", found->incomplete);
		return strcmp(found->incomplete, "service") == 0 ? TEST_SERVICE_FAULT : TEST_WRONG_ANSWER;
	}
	for (size_t i = 0; i < test->expects.count; i++) {
		const struct request_file *wanted = &test->expects.file[i];
		const struct collected_file *file = NULL;
		const char *fault = NULL;

		for (size_t j = 0; j < found->count && file == NULL; j++) {
			if (found->file[j].path.size == wanted->path.size &&
			    memcmp(found->file[j].path.bytes, wanted->path.bytes, wanted->path.size) == 0)
				file = &found->file[j];
		}
		if (file == NULL)
			fault = "is missing";
		else if (file->reason != NULL)
			fault = "is no file that can be read";
		else if (file->size != wanted->content.size || file->content.size != wanted->content.size ||
		    memcmp(file->content.bytes, wanted->content.bytes, wanted->content.size) != 0)
			fault = "differs";
		if (fault == NULL)
			continue;
		snprintf(outcome->reason, sizeof outcome->reason, "the file %.80s %s", wanted->path.bytes, fault);
		return TEST_WRONG_ANSWER;
	}
	return TEST_ACCEPTED;
}

static enum test_verdict
judge_output(const struct test_case *test, const struct run *run, struct test_outcome *outcome)
{
	const struct text output = { run->out.bytes, run->out.size };
	struct check_difference difference;
	enum check check = checker_compare(&test->checker, &test->answer, &output, &difference);

	keep_difference(outcome, &difference);
	if (check == CHECK_FAILED)
		snprintf(outcome->reason, sizeof outcome->reason, "the checker %s needs too much time or memory for this output",
		    checker_names[test->checker.kind]);
	return test_verdict_of_check(check);
}

/* Judge the run in worker->run. */
static enum test_verdict
judge(struct tests *tests, struct worker *worker, const struct test_case *test, struct test_outcome *outcome)
{
	const struct run *run = &worker->run;
	enum test_verdict verdict = test_verdict_of_run(&run->result, test->exit_code, test->limits.cpu_ms);

	if (verdict == TEST_RUNTIME_ERROR && (run->result.verdict == VERDICT_EXIT || run->result.verdict == VERDICT_OK))
		snprintf(outcome->reason, sizeof outcome->reason, "exit code %d instead of %d", run->result.exit_code,
		    test->exit_code);
	else if (verdict == TEST_TIME_LIMIT && run->result.verdict != VERDICT_TIMEOUT)
		snprintf(outcome->reason, sizeof outcome->reason, "it used %llu ms of CPU time, and may use %llu",
		    (unsigned long long)(run->result.cpu_us / 1000), (unsigned long long)test->limits.cpu_ms);
	if (verdict == TEST_ACCEPTED)
		verdict = judge_files(test, &run->files, outcome);
	if (verdict == TEST_ACCEPTED && test->program != NULL)
		return test_checker_judge(tests, worker, test, outcome);
	if (verdict == TEST_ACCEPTED && test->has_answer)
		return judge_output(test, run, outcome);
	return verdict;
}

static void
note_failure(struct tests *tests, size_t number, enum test_verdict verdict)
{
	if (!tests->request->tests->stops || verdict == TEST_ACCEPTED || verdict == TEST_SERVICE_FAULT || verdict == TEST_SKIPPED)
		return;
	pthread_mutex_lock(&tests->lock);
	if (number + 1 < tests->failed)
		tests->failed = number + 1;
	pthread_mutex_unlock(&tests->lock);
}

static void
carry_out(struct tests *tests, struct worker *worker, size_t number)
{
	const struct test_case *test = &tests->request->tests->test[number];
	struct test_outcome *outcome = &tests->outcome[number];
	bool is_interactive = tests->request->tests->interactor != NULL;
	struct run *run = &worker->run;
	struct run_request part;

	request_tests_run(tests->request, test, &part);
	if (is_interactive && test_interactor_run(tests, worker, test, outcome)) {
		/* It has its verdict. */
	} else if (!is_interactive && tests_run(tests, worker, &part)) {
		outcome->has_run = true;
		outcome->result = run->result;
		tests_keep(tests, &run->out, tests->request->tests->output_bytes, &outcome->out);
		tests_keep(tests, &run->err, tests->request->tests->output_bytes, &outcome->err);
		outcome->verdict = judge(tests, worker, test, outcome);
		outcome->fault = test_fault_of_verdict(outcome->verdict, &outcome->result);
	} else {
		outcome->verdict = TEST_SERVICE_FAULT;
		outcome->fault = FAULT_SERVICE;
		snprintf(outcome->reason, sizeof outcome->reason, "the service could not run it");
	}
	note_failure(tests, number, outcome->verdict);
	pthread_mutex_lock(&tests->lock);
	tests->account = run->account;
	outcome->is_done = true;
	pthread_mutex_unlock(&tests->lock);
	run_release(run);
}

/* Tell the client of the tests that are done, up to the first that is not. */
static void
tell_done(struct tests *tests)
{
	struct proto_account account;
	bool is_next;

	for (;;) {
		pthread_mutex_lock(&tests->lock);
		is_next = tests->told < tests->failed && tests->told < tests->count && tests->outcome[tests->told].is_done;
		account = tests->account;
		pthread_mutex_unlock(&tests->lock);
		if (!is_next)
			return;
		events_test(tests->events, tests, tests->told++, &account);
	}
}

static void
perform(struct crew_work *work, struct worker *worker)
{
	struct tests *tests = (struct tests *)(void *)((char *)work - offsetof(struct tests, work));
	size_t number;

	while (take_next(tests, &number)) {
		carry_out(tests, worker, number);
		if (tests->events != NULL && worker == tests->owner)
			tell_done(tests);
	}
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* How many runs at a time the key and the configuration allow. */
static uint64_t
most_at_once(const struct tests *tests)
{
	const struct config *config = tests->config;
	uint64_t most = config->cells - config->reserve;
	uint32_t running = tests->client->share->running;

	if (running != 0 && running < most)
		most = running;
	if (config->tests_at_once < most)
		most = config->tests_at_once;
	return most;
}

/* How many threads help. A test with an interactor is two runs, which wait for each other. */
static uint32_t
helpers(const struct tests *tests)
{
	uint64_t most = most_at_once(tests) / (tests->request->tests->interactor != NULL ? 2 : 1);

	return (uint32_t)(tests->count < most ? tests->count : most) - 1;
}

/*
 * A program that is compiled is compiled on a connection of its own, for which the runner holds it
 * until the tests are done. Every test finds it then, whatever the cache keeps.
 */
struct keeper {
	struct runner_link link;
	bool is_open;
};

static void
keeper_close(struct keeper *keeper, struct crew *crew)
{
	if (!keeper->is_open)
		return;
	runner_link_close(&keeper->link);
	crew_give_link(crew);
	keeper->is_open = false;
}

/*
 * Compile, with as many attempts as a test has. Without a connection of its own the program is held
 * by the cache alone. The outcome is in worker->run.
 */
static enum run_end
compile(struct tests *tests, struct worker *worker, const struct run_request *request, struct keeper *keeper)
{
	struct tests_attempts attempts = { 0 };
	struct run_client client = *tests->client;
	enum run_end end;

	keeper->is_open = crew_take_link(worker->crew);
	runner_link_init(&keeper->link, tests->config);
	for (;;) {
		end = run_compile(&worker->run, keeper->is_open ? &keeper->link : &worker->link, tests->config, request, &client);
		if (end == RUN_NO_RUNNER && keeper->is_open)
			keeper_close(keeper, worker->crew);
		else if (end == RUN_ENDED || !tests_try_again(tests, &worker->run, end, &attempts))
			break;
		client.waited_us = 0;
	}
	return end;
}

/* The compilation of the program, kept while worker->run is used for others. */
struct kept_compilation {
	struct compilation compilation;
	bool is_kept;
};

static enum run_end
keep_compilation(struct run *run, struct kept_compilation *kept)
{
	char *bytes = malloc(run->compilation.text.size + 1);

	if (bytes == NULL) {
		snprintf(run->cause, sizeof run->cause, "keep the compiler's output: %s", strerror(errno));
		return RUN_FAULT;
	}
	memcpy(bytes, run->compilation.text.bytes, run->compilation.text.size);
	kept->compilation = run->compilation;
	kept->compilation.text.bytes = bytes;
	kept->compilation.text.capacity = run->compilation.text.size + 1;
	kept->is_kept = true;
	return RUN_ENDED;
}

static void
restore_compilation(struct run *run, struct kept_compilation *kept)
{
	if (!kept->is_kept)
		return;
	free(run->compilation.text.bytes);
	run->compilation = kept->compilation;
}

/* Say of the tests that did not run why not. */
static void
settle_rest(struct tests *tests)
{
	for (size_t i = 0; i < tests->count; i++) {
		struct test_outcome *outcome = &tests->outcome[i];

		/* Others may have been quicker than the first one that failed. */
		if (i >= tests->failed) {
			free(outcome->out.bytes);
			free(outcome->err.bytes);
			free(outcome->checker_text.bytes);
			*outcome = (struct test_outcome){ .verdict = TEST_SKIPPED };
			snprintf(outcome->reason, sizeof outcome->reason, "a test before it has failed");
		} else if (i >= tests->next) {
			*outcome = (struct test_outcome){ .verdict = TEST_SKIPPED, .fault = FAULT_SERVICE };
			snprintf(outcome->reason, sizeof outcome->reason, "%s", tests->why_over != NULL ? tests->why_over : "");
		}
	}
}

/* The sum of all tests, as the result of the request. */
static void
sum_up(const struct tests *tests, struct run_result *sum)
{
	*sum = (struct run_result){ .verdict = VERDICT_OK, .wall_us = tests->ended_us - tests->began_us };
	for (size_t i = 0; i < tests->count; i++) {
		const struct test_outcome *outcome = &tests->outcome[i];

		if (!outcome->has_run)
			continue;
		sum->network = outcome->result.network;
		sum->cpu_us += outcome->result.cpu_us;
		if (sum->memory_peak_bytes < outcome->result.memory_peak_bytes)
			sum->memory_peak_bytes = outcome->result.memory_peak_bytes;
		if (sum->processes_peak < outcome->result.processes_peak)
			sum->processes_peak = outcome->result.processes_peak;
	}
}

static bool
has_any_run(const struct tests *tests)
{
	for (size_t i = 0; i < tests->count; i++) {
		if (tests->outcome[i].has_run)
			return true;
	}
	return false;
}

static void
skip_all(struct tests *tests)
{
	tests->is_skipped = true;
	for (size_t i = 0; i < tests->count; i++) {
		tests->outcome[i] = (struct test_outcome){ .verdict = TEST_SKIPPED, .fault = FAULT_PROGRAM };
		snprintf(tests->outcome[i].reason, sizeof tests->outcome[i].reason, "the program does not compile");
	}
}

/* Compile a program of the request's own. It is the request's fault if it does not compile. */
static enum run_end
compile_own(struct tests *tests, struct worker *worker, const struct run_request *program, const char *name,
    struct keeper *keeper, struct http_error *bad)
{
	struct run *run = &worker->run;
	enum run_end end;

	if (program == NULL || !config_is_compiled(tests->config->language[program->language]))
		return RUN_ENDED;
	end = compile(tests, worker, program, keeper);
	if (end == RUN_ENDED && run->compilation.result.verdict != VERDICT_OK)
		http_error_set(bad, 400, "%s: it does not compile: %.*s", name,
		    (int)(run->err.size < SHOWN_MOST ? run->err.size : SHOWN_MOST), run->err.bytes);
	run_release(run);
	return end;
}

/* Everything is compiled: run the tests. */
static void
run_all(struct tests *tests, struct worker *worker)
{
	tests->work.perform = perform;
	crew_offer(worker->crew, &tests->work, helpers(tests));
	perform(&tests->work, worker);
	crew_withdraw(worker->crew, &tests->work);
	settle_rest(tests);
}

static enum run_end
perform_all(struct tests *tests, struct worker *worker, struct keeper *keepers, struct kept_compilation *kept,
    struct http_error *bad)
{
	const struct request_tests *all = tests->request->tests;
	struct run *run = &worker->run;
	enum run_end end = RUN_ENDED;

	if (all->interactor != NULL && most_at_once(tests) < 2) {
		http_error_set(bad, 400, "interactor: needs two runs at the same time, and only one is allowed here");
		return RUN_ENDED;
	}
	if (config_is_compiled(tests->config->language[tests->request->language])) {
		end = compile(tests, worker, tests->request, &keepers[0]);
		if (end != RUN_ENDED)
			return end;
		if (run->compilation.result.verdict != VERDICT_OK) {
			skip_all(tests);
			return RUN_ENDED;
		}
		end = keep_compilation(run, kept);
		run_release(run);
	}
	if (end == RUN_ENDED)
		end = compile_own(tests, worker, all->programs > 0 ? all->program[0] : NULL, "checker", &keepers[1], bad);
	if (end == RUN_ENDED && bad->status == 0)
		end = compile_own(tests, worker, all->interactor, "interactor", &keepers[2], bad);
	if (end != RUN_ENDED || bad->status != 0)
		return end;
	run_all(tests, worker);
	run_release(run);
	if (!has_any_run(tests) && tests->left != RUN_ENDED) {
		run->refused = tests->refused;
		memcpy(run->cause, tests->cause, sizeof run->cause);
		return tests->left;
	}
	return RUN_ENDED;
}

enum run_end
tests_perform(struct tests *tests, struct worker *worker, const struct run_request *request, const struct run_client *client,
    struct events *events, struct http_error *bad)
{
	struct kept_compilation kept = { .is_kept = false };
	struct keeper keepers[3] = { { .is_open = false }, { .is_open = false }, { .is_open = false } };
	struct run *run = &worker->run;
	enum run_end end;

	*tests = (struct tests){ .config = worker->config,
		.request = request,
		.client = client,
		.events = events,
		.owner = worker,
		.count = request->tests->count,
		.failed = request->tests->count,
		.kept_left = request->maximum.output_bytes,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.left = RUN_ENDED,
		.began_us = clock_us() };
	bad->status = 0;
	tests->outcome = calloc(tests->count, sizeof *tests->outcome);
	if (tests->outcome == NULL) {
		snprintf(run->cause, sizeof run->cause, "make a list of %zu outcomes: %s", tests->count, strerror(errno));
		return RUN_FAULT;
	}
	end = perform_all(tests, worker, keepers, &kept, bad);
	for (size_t i = 0; i < sizeof keepers / sizeof keepers[0]; i++)
		keeper_close(&keepers[i], worker->crew);
	tests->ended_us = clock_us();
	restore_compilation(run, &kept);
	if (end == RUN_ENDED) {
		if (!tests->is_skipped) {
			sum_up(tests, &run->result);
			run->account = tests->account;
		}
		run->tests = tests;
	}
	for (; events != NULL && end == RUN_ENDED && bad->status == 0 && tests->told < tests->count; tests->told++)
		events_test(events, tests, tests->told, &run->account);
	return end;
}

void
tests_release(struct tests *tests)
{
	for (size_t i = 0; tests->outcome != NULL && i < tests->count; i++) {
		free(tests->outcome[i].out.bytes);
		free(tests->outcome[i].err.bytes);
		free(tests->outcome[i].checker_text.bytes);
	}
	free(tests->outcome);
	pthread_mutex_destroy(&tests->lock);
	tests->outcome = NULL;
}
