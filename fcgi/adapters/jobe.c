/*
 * jobe.c - Jobe's protocol: languages, runs, files. docs/adapters.md has the table of fields. Runs
 * in the worker, over untrusted input.
 */
#define _GNU_SOURCE
#include "adapters/jobe.h"

#include <json-c/json.h>
#include <string.h>

#include "adapters/adapter_language.h"
#include "adapters/adapter_reply.h"
#include "json_text.h"

#define OVERLOAD "!** TESTING OVERLOAD EXCEPTION **!" /* a program that its own test sends, to see an overload */

/* ---- languages --------------------------------------------------------------------------------------------------- */

static void
serve_languages(struct worker *worker, struct exchange *exchange, const char *rest)
{
	struct json_object *list = json_object_new_array();

	(void)rest;
	for (size_t i = 0; i < worker->config->language_count; i++) {
		const struct language_config *language = worker->config->language[i];
		const char *name = adapter_language_name(language, ADAPTER_JOBE);
		struct proto_language answer;
		struct json_object *one;
		struct http_error error;

		if (name == NULL)
			continue;
		if (adapter_language_ask(worker, i, &answer) != 0) {
			json_object_put(list);
			http_error_set(&error, 503, "the runner cannot be reached");
			exchange_note_failure(exchange, &error, worker->link.error);
			jobe_fail_with(exchange, &error);
			return;
		}
		if (answer.available == 0)
			continue;
		one = json_object_new_array();
		json_object_array_add(one, json_object_new_string(name));
		json_object_array_add(one,
		    json_object_new_string_len(answer.version,
		        (int)json_text_well_formed(answer.version, strlen(answer.version))));
		json_object_array_add(list, one);
	}
	adapter_reply_value(&exchange->reply, 200, NULL, list);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static bool
is_overload_test(struct json_object *spec)
{
	struct json_object *source = adapter_member(spec, "sourcecode");

	return json_object_is_type(source, json_type_string) && strcmp(json_object_get_string(source), OVERLOAD) == 0;
}

/* Carry out the run that `spec` describes, which stays the caller's. */
static void
run(struct jobe_submission *submission, struct json_object *spec, size_t size)
{
	struct exchange *exchange = submission->exchange;
	struct run_request request;
	struct http_error error;
	bool is_compile_error;

	if (jobe_translate(submission, spec, &is_compile_error, &error) != 0) {
		json_object_put(submission->ours);
		if (is_compile_error)
			jobe_answer_outcome(exchange, OUTCOME_COMPILE_ERROR, error.text, "");
		else if (error.status == 503)
			jobe_answer_refusal(exchange, &error);
		else
			jobe_fail_with(exchange, &error);
		return;
	}
	if (is_overload_test(spec)) {
		json_object_put(submission->ours);
		jobe_answer_outcome(exchange, OUTCOME_OVERLOAD, "", "");
		return;
	}
	if (adapter_run(submission->worker, exchange, submission->ours, NULL, size, &request, &error) == 0)
		jobe_answer(submission, &request);
	else
		jobe_answer_refusal(exchange, &error);
	run_release(&submission->worker->run);
}

static void
serve_runs(struct worker *worker, struct exchange *exchange, const char *rest)
{
	struct jobe_submission submission = { .worker = worker, .exchange = exchange };
	struct json_object *tree, *spec;
	struct http_error error;
	size_t size;

	(void)rest;
	tree = adapter_read(worker, exchange, &size, &error);
	if (tree == NULL) {
		if (error.status == 400)
			http_error_set(&error, 400, "Non-JSON post data received");
		jobe_fail_with(exchange, &error);
		return;
	}
	spec = adapter_member(tree, "run_spec");
	if (!json_object_is_type(spec, json_type_object)) {
		json_object_put(tree);
		http_error_set(&error, 400, "No run_spec attribute found in post data");
		jobe_fail_with(exchange, &error);
		return;
	}
	submission.ours = json_object_new_object();
	submission.ignored = json_object_new_array();
	run(&submission, spec, size);
	json_object_put(submission.ignored);
	json_object_put(tree);
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

static const char *const prefixes[] = { "/jobe/index.php/restapi/", NULL };

static const struct adapter_route routes[] = {
	{ "languages", "GET", "/jobe/languages", serve_languages },
	{ "runs", "POST", "/jobe/runs", serve_runs },
	{ "files/", "GET", "/jobe/files/ID", jobe_files_serve_head },
	{ "files/", "PUT", "/jobe/files/ID", jobe_files_serve_put },
};

const struct adapter adapter_jobe = {
	.protocol = ADAPTER_JOBE,
	.log_name = "/jobe/",
	.prefixes = prefixes,
	ADAPTER_ROUTES(routes),
	.unauthorized = "/.forbidden",
	.unknown_key = "Unknown API key",
	.unknown_key_status = 403,
	.wrong_method_status = 404,
	.fail = jobe_fail,
};
