/* run.c - see run.h. Runs in a thread of the worker. */
#define _GNU_SOURCE
#include "run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "digest.h"
#include "run_execution.h"

#define ATTEMPTS 3 /* how often a compiled run is begun, if the runner restarts between its steps */

void
run_set_cause(struct run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->cause, sizeof run->cause, format, args);
	va_end(args);
}

void
run_init(struct run *run)
{
	memset(run, 0, sizeof *run);
	run_output_init(&run->out);
	run_output_init(&run->err);
	run_output_init(&run->compilation.text);
	run->files_fd = run->files.fd = -1;
}

void
run_free(struct run *run)
{
	run_output_free(&run->out);
	run_output_free(&run->err);
	run_output_free(&run->compilation.text);
}

void
run_release(struct run *run)
{
	run_output_release(&run->out);
	run_output_release(&run->err);
	run_output_release(&run->compilation.text);
	collected_release(&run->files);
	run->compilation.took_place = false;
	run->compilation.result.verdict = VERDICT_OK;
	run->cause[0] = '\0';
}

/*
 * Send PROTO_RUN or PROTO_COMPILE with the descriptors made of `request`, and wait for the end. The
 * request of a run is freed when it has been handed over, unless its stdin is longer than a pipe
 * holds; that of a compilation is still needed for the run. *start_over: the connection on which
 * PROTO_FIND was asked is gone, and nothing was sent.
 */
static enum run_end
execute(struct run *run, struct runner_link *link, struct proto_request *message, struct run_request *request,
    const struct run_client *client, bool *start_over)
{
	bool is_compile = message->kind == PROTO_COMPILE;
	struct execution execution = { .is_relayed = false };
	enum run_end end = run_execution_begin(&execution, run, link, message, request, client, start_over);

	if (end == RUN_ENDED) {
		if (!is_compile && execution.input.fd < 0)
			request_free(request);
		end = run_wait(run, &execution.watch);
	}
	run_execution_finish(&execution, run, end);
	/* A compiler runs none of the client's code, and its output is kept for nobody. */
	return end == RUN_LOST && is_compile ? RUN_NO_RUNNER : end;
}

static void
swap(struct output *a, struct output *b)
{
	struct output other = *a;

	*a = *b;
	*b = other;
}

/*
 * Have the runner hold the compiled program for this connection: found, or compiled now. RUN_ENDED:
 * it does, or compilation.result says why not, and then run->result says that nothing was run.
 * *start_over: see execute.
 */
static enum run_end
compile(struct run *run, struct runner_link *link, const struct config *config, struct run_request *request,
    const struct run_client *client, bool *start_over)
{
	struct compilation *compilation = &run->compilation;
	struct proto_request message = {
		.kind = PROTO_FIND,
		.index = (uint32_t)request->language,
		.queue_ms = client->queue_ms,
		.waited_us = client->waited_us,
		.share = *client->share,
	};
	struct run_request source = *request;
	struct proto_reply reply;
	uint64_t asked_us;
	enum run_end end;

	source.more = (struct request_files){ .file = NULL };
	*start_over = false;
	compilation->took_place = true;
	compilation->limits = request->compiler.wall_ms != 0 ? &request->compiler :
	                                                       &config->language[request->language]->compile.limits;
	compilation->result = (struct run_result){ .verdict = VERDICT_OK };
	digest_source(request, client->share->name, message.digest);
	/*
	 * A language that sleeps is woken first, and only its warden can name the compiler. This is
	 * a wait for a cell like any other.
	 */
	asked_us = clock_us();
	if (runner_link_ask_to_start(link, &message, client->queue_ms, &reply) != 0) {
		run_set_cause(run, "%s", link->error);
		return RUN_NO_RUNNER;
	}
	message.waited_us += clock_us() - asked_us;
	compilation->waited_us = message.waited_us;
	compilation->was_cached = reply.u.found != 0;
	if (compilation->was_cached)
		return RUN_ENDED;
	message.kind = PROTO_COMPILE;
	message.flags = (client->follower != NULL ? RUN_EVENTS : 0u) | (run_uses_pack(&source) ? RUN_PACK : 0u);
	message.limits = *compilation->limits;
	end = execute(run, link, &message, &source, client, start_over);
	compilation->result = run->result;
	swap(&compilation->text, &run->out);
	if (end == RUN_ENDED && run->result.verdict != VERDICT_OK) {
		/*
		 * The compiler's output becomes the reply's stderr, because there is no run that
		 * could have one.
		 */
		swap(&compilation->text, &run->err);
		/*
		 * If the compiler exceeded output_bytes and ended before the runner learned of it,
		 * the runner holds its program, and would reject the next request as out of turn.
		 * Closing the connection makes it drop the program.
		 */
		if (run->result.verdict == VERDICT_OUTPUT_LIMIT)
			runner_link_close(link);
		if (run->result.verdict != VERDICT_CANCELLED)
			run->result.verdict = VERDICT_COMPILE_ERROR;
	}
	return end;
}

/*
 * An interpreter that knows its limit reports want of memory itself, and then the program fails: to
 * the client that is the memory limit, as where the kernel ends the program.
 */
static void
settle_memory(struct run *run, const struct language_config *language)
{
	const char *words = language->out_of_memory;

	if (words != NULL && run->result.verdict == VERDICT_EXIT &&
	    memmem(run->err.bytes, run->err.size, words, strlen(words)) != NULL)
		run->result.verdict = VERDICT_MEMORY_LIMIT;
}

/* Whether the interpreter must start anew: one that waits has looked for the main file already. */
static bool
starts_anew(const struct config *config, const struct run_request *request)
{
	return request->main.size > 0 && config->language[request->language]->run.count > 0;
}

void
run_message(const struct config *config, const struct run_request *request, const struct run_client *client,
    struct proto_request *message)
{
	*message = (struct proto_request){
		.kind = PROTO_RUN,
		.index = (uint32_t)request->language,
		.warm = request->warm,
		.flags = (request->network ? RUN_NETWORK : 0u) | (request->loopback ? RUN_LOOPBACK : 0u) |
		    (request->args.count + request->env.count > 0 ? RUN_ARGUED : 0u) |
		    (request->collect.count > 0 ? RUN_COLLECT : 0u) | (starts_anew(config, request) ? RUN_COLD : 0u) |
		    (client->follower != NULL ? RUN_EVENTS : 0u) | (run_uses_pack(request) ? RUN_PACK : 0u),
		.proxy = request->proxy,
		.queue_ms = client->queue_ms,
		.waited_us = client->waited_us,
		.limits = request->limits,
		.share = *client->share,
	};
}

static enum run_end
compile_and_run(struct run *run, struct runner_link *link, const struct config *config, struct run_request *request,
    const struct run_client *client, bool *start_over)
{
	const struct language_config *language = config->language[request->language];
	struct proto_request message;
	enum run_end end;

	run_message(config, request, client, &message);
	if (config_is_compiled(language)) {
		end = compile(run, link, config, request, client, start_over);
		if (end != RUN_ENDED || run->compilation.result.verdict != VERDICT_OK)
			return end;
		/* The wait of the compilation, in which the runner counts the one before it. */
		message.waited_us = run->compilation.was_cached ? run->compilation.waited_us : run->compilation.result.queue_us;
		if (client->follower != NULL)
			client->follower->compiled(client->follower, run);
	}
	end = execute(run, link, &message, request, client, start_over);
	if (end == RUN_ENDED)
		settle_memory(run, language);
	return end;
}

enum run_end
run_compile(struct run *run, struct runner_link *link, const struct config *config, const struct run_request *request,
    const struct run_client *client)
{
	struct run_request source = *request;
	enum run_end end = RUN_FAULT;
	bool start_over = true;

	source.is_part = true;
	for (int i = 0; i < ATTEMPTS && start_over; i++) {
		run_output_release(&run->compilation.text);
		end = compile(run, link, config, &source, client, &start_over);
	}
	if (end != RUN_ENDED && end != RUN_REFUSED)
		runner_link_close(link);
	run->level = link->level;
	return end;
}

enum run_end
run_perform(struct run *run, struct runner_link *link, const struct config *config, struct run_request *request,
    const struct run_client *client)
{
	enum run_end end = RUN_FAULT;
	bool start_over = true;

	/*
	 * The runner holds a compiled program for the connection that asked for it. If it restarts
	 * between two steps, the second cannot be delivered, and the run starts over on a new
	 * connection: none of its code has run.
	 */
	for (int i = 0; i < ATTEMPTS && start_over; i++) {
		run_output_release(&run->compilation.text);
		end = compile_and_run(run, link, config, request, client, &start_over);
	}
	/*
	 * Without its connection the runner ends the run, drops a program that it holds for it, and
	 * cannot send a late answer that would be taken for that of the next run.
	 */
	if (end != RUN_ENDED && end != RUN_REFUSED)
		runner_link_close(link);
	run->level = link->level;
	request_free(request);
	return end;
}
