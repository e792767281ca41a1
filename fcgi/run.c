/*
 * run.c - see run.h. Runs in the worker.
 *
 * The guest reads and writes the worker's pipes. When the result arrives every process of the
 * run is dead, so both pipes end, too. The worker waits for the result and for both ends, in
 * whichever order they come. A guest cannot extend this beyond its limits: the runner kills it in
 * time, and deadlines here end the wait for a runner that does not.
 */
#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "digest.h"
#include "fdpass.h"
#include "json_text.h"
#include "log.h"
#include "log_limit.h"
#include "memfd.h"
#include "run_pipe.h"

#define PIPE_BYTES 65536             /* the capacity of a new pipe */
#define BIG_PIPE_BYTES (1024 * 1024) /* the capacity that an ordinary user may give a pipe */
#define KEPT_BYTES (4 * PIPE_BYTES)  /* a larger buffer is returned to the system after the run */
#define RUNNER_GRACE_MS 10000        /* how much later than queue_ms and the stretched wall_ms allow a result may come */
#define SHORT_RUN_MS 2               /* the output of a run that ends within this time is read at its end */
#define DRAIN_GRACE_MS 5000          /* how much later than the result the pipes may end */
#define ATTEMPTS 3                   /* how often a compiled run is begun, if the runner restarts between its steps */

/* Note why the run fails, for the log. */
static void __attribute__((format(printf, 2, 3))) set_cause(struct run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->cause, sizeof run->cause, format, args);
	va_end(args);
}

static void
output_init(struct output *output)
{
	*output = (struct output){ .bytes = malloc(PIPE_BYTES), .capacity = PIPE_BYTES };
	if (output->bytes == NULL)
		die("out of memory");
}

void
run_init(struct run *run)
{
	memset(run, 0, sizeof *run);
	output_init(&run->out);
	output_init(&run->err);
	output_init(&run->compilation.text);
	run->files_fd = run->files.fd = -1;
}

void
run_free(struct run *run)
{
	free(run->out.bytes);
	free(run->err.bytes);
	free(run->compilation.text.bytes);
}

static void
output_release(struct output *output)
{
	if (output->capacity > KEPT_BYTES) {
		char *bytes = realloc(output->bytes, PIPE_BYTES);

		if (bytes != NULL) {
			output->bytes = bytes;
			output->capacity = PIPE_BYTES;
		}
	}
	output->size = 0;
	output->truncated = false;
}

void
run_release(struct run *run)
{
	output_release(&run->out);
	output_release(&run->err);
	output_release(&run->compilation.text);
	collected_release(&run->files);
	run->compilation.took_place = false;
	run->compilation.result.verdict = VERDICT_OK;
	run->cause[0] = '\0';
}

static void
cancel(struct runner_link *link, uint32_t id, enum proto_cancel why)
{
	static struct log_limit limit;
	struct proto_request request = { .kind = PROTO_CANCEL, .id = id, .cancel = why };

	/*
	 * If this does not arrive, the run ends by its own limits, or the wait for its result by
	 * the deadline.
	 */
	if (fdpass_send(link->fd, &request, sizeof request, NULL, 0) != 0)
		log_limit_warn(&limit, "%s: cancel: %s", link->path, strerror(errno));
}

/*
 * Enlarge the buffer, up to one byte more than the limit: that byte shows that there was more
 * output.
 */
static int
output_grow(struct output *output, uint64_t limit)
{
	size_t capacity = output->capacity * 2;
	char *bytes;

	if (capacity > limit + 1)
		capacity = (size_t)limit + 1;
	bytes = realloc(output->bytes, capacity);
	if (bytes == NULL)
		return -1;
	output->bytes = bytes;
	output->capacity = capacity;
	return 0;
}

/* Read once. Returns 1 if the pipe is open, 0 at its end, or -1 with errno. */
static int
output_read(struct output *output, int fd, uint64_t limit)
{
	char waste[PIPE_BYTES];
	ssize_t n;

	if (!output->truncated && output->size == output->capacity && output_grow(output, limit) != 0)
		return -1;
	if (output->truncated)
		n = read(fd, waste, sizeof waste);
	else
		n = read(fd, output->bytes + output->size, output->capacity - output->size);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -1;
	if (n == 0)
		return 0;
	if (output->truncated)
		return 1;
	/*
	 * A run that fills its pipe at once is likely to write more: make the reads fewer and
	 * bigger.
	 */
	if (output->size == 0 && n == PIPE_BYTES)
		fcntl(fd, F_SETPIPE_SZ, BIG_PIPE_BYTES);
	output->size += (size_t)n;
	if (output->size > limit) {
		output->size = (size_t)limit;
		output->truncated = true;
	}
	return 1;
}

/* Read the pipes that have data or have ended. Returns 0; or -1 with the run's cause set. */
static int
take_output(struct run *run, struct watch *watch)
{
	struct output *const outputs[] = { [WATCH_OUT] = &run->out, [WATCH_ERR] = &run->err };

	for (int i = WATCH_OUT; i <= WATCH_ERR; i++) {
		int more;

		if (watch->polled[i].revents == 0)
			continue;
		more = output_read(outputs[i], watch->polled[i].fd, watch->output_bytes);
		/*
		 * All writers are gone, so the end is likely to be next: reading again at once
		 * saves a poll(2).
		 */
		if (more > 0 && (watch->polled[i].revents & POLLHUP) != 0)
			more = output_read(outputs[i], watch->polled[i].fd, watch->output_bytes);
		if (more < 0) {
			set_cause(run, "read the output: %s", strerror(errno));
			return -1;
		}
		if (more == 0)
			watch->polled[i].fd = -1;
		if (outputs[i]->truncated && !watch->limit_hit) {
			watch->limit_hit = true;
			if (!watch->answered)
				cancel(watch->link, run->id, CANCEL_OUTPUT_LIMIT);
		}
	}
	return 0;
}

/*
 * Receive the runner's answer. Returns RUN_ENDED for a result, and for a message that is none;
 * anything else ends the wait.
 */
static enum run_end
take_answer(struct run *run, struct watch *watch)
{
	struct proto_reply reply;
	int received = watch->collects ? runner_link_receive_fd(watch->link, &reply, &run->files_fd) :
	                                 runner_link_receive(watch->link, &reply);

	if (received > 0)
		return RUN_ENDED;
	if (received < 0) {
		set_cause(run, "%s", watch->link->error);
		return RUN_LOST;
	}
	if (reply.id == run->id && reply.kind == PROTO_PROGRESS && watch->follower != NULL &&
	    (reply.u.progress.progress == PROGRESS_QUEUED ||
	        (reply.u.progress.progress == PROGRESS_STARTED && !watch->is_compile))) {
		watch->follower->progress(watch->follower, &reply.u.progress, &reply.account);
		return RUN_ENDED;
	}
	if (reply.id == run->id && reply.kind == PROTO_REFUSED) {
		run->refused = reply.u.refused;
		run->account = reply.account;
		return RUN_REFUSED;
	}
	if (reply.id != run->id || reply.kind != PROTO_RESULT) {
		set_cause(run, "run %u: the runner answered with message %u about run %u", run->id, reply.kind, reply.id);
		return RUN_FAULT;
	}
	run->result = reply.u.result;
	run->account = reply.account;
	watch->answered = true;
	watch->polled[WATCH_RUNNER].fd = -1;
	watch->deadline_us = clock_us() + DRAIN_GRACE_MS * 1000;
	return RUN_ENDED;
}

enum run_end
run_deadline_passed(struct run *run, struct watch *watch)
{
	static struct log_limit limit;

	if (!watch->answered) {
		set_cause(run, "run %u: no result in time", run->id);
		return RUN_LOST;
	}
	log_limit_warn(&limit, "run %u: its pipes stay open after the result; the output may be incomplete", run->id);
	run->out.truncated |= watch->polled[WATCH_OUT].fd >= 0;
	run->err.truncated |= watch->polled[WATCH_ERR].fd >= 0;
	return RUN_ENDED;
}

void
run_cancel(struct run *run, struct watch *watch)
{
	if (!watch->answered)
		cancel(watch->link, run->id, CANCEL_CLIENT_GONE);
}

bool
run_is_awaited(const struct watch *watch)
{
	return !watch->answered || watch->polled[WATCH_OUT].fd >= 0 || watch->polled[WATCH_ERR].fd >= 0;
}

enum run_end
run_take_events(struct run *run, struct watch *watch)
{
	struct pollfd *polled = watch->polled;

	if (take_output(run, watch) != 0)
		return RUN_FAULT;
	if (polled[WATCH_INPUT].revents != 0 && watch->input != NULL) {
		run_pipe_feed(watch->input);
		polled[WATCH_INPUT].fd = watch->input->fd;
	}
	if (polled[WATCH_CLIENT].revents == POLLOUT) {
		watch->follower->send(watch->follower, run);
	} else if (polled[WATCH_CLIENT].revents != 0) {
		polled[WATCH_CLIENT].fd = -1;
		if (!watch->answered)
			cancel(watch->link, run->id, CANCEL_CLIENT_GONE);
	}
	if (polled[WATCH_RUNNER].revents != 0) {
		enum run_end end = take_answer(run, watch);

		if (end != RUN_ENDED)
			return end;
	}
	if (polled[WATCH_CUT].revents != 0) {
		polled[WATCH_CUT].fd = -1;
		if (!watch->answered) {
			set_cause(run, "run %u: this worker ends, and cannot wait any longer", run->id);
			return RUN_LOST;
		}
	}
	return RUN_ENDED;
}

/*
 * Have poll(2) announce room for what the follower has to send, if it is time for that. Returns how
 * long to wait for anything else: `left_ms`, or less.
 */
static int64_t
await_turn(const struct run *run, struct watch *watch, int64_t left_ms)
{
	struct pollfd *client = &watch->polled[WATCH_CLIENT];
	int due_ms = client->fd < 0 ? INT_MAX : watch->follower->due_ms(watch->follower, run);

	client->events = due_ms == 0 ? POLLRDHUP | POLLOUT : POLLRDHUP;
	return due_ms > 0 && due_ms < left_ms ? due_ms : left_ms;
}

static enum run_end
wait_for_end(struct run *run, struct watch *watch)
{
	/*
	 * Most runs end soon. Waking up for their output as well would only take CPU time from
	 * them.
	 */
	nfds_t skipped = WATCH_RUNNER;

	while (run_is_awaited(watch)) {
		int64_t left_ms = (int64_t)(watch->deadline_us - clock_us()) / 1000;
		enum run_end end;
		int n;

		if (left_ms <= 0)
			return run_deadline_passed(run, watch);
		if (watch->follower != NULL)
			left_ms = await_turn(run, watch, left_ms);
		if (skipped > 0 && left_ms > SHORT_RUN_MS)
			left_ms = SHORT_RUN_MS;
		n = poll(watch->polled + skipped, WATCH_COUNT - skipped, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);
		skipped = 0;
		if (n < 0 && errno != EINTR) {
			set_cause(run, "poll: %s", strerror(errno));
			return RUN_FAULT;
		}
		if (n <= 0)
			continue;
		end = run_take_events(run, watch);
		if (end != RUN_ENDED)
			return end;
	}
	return RUN_ENDED;
}

/*
 * Cut a stream whose text in the reply would be too long: see RUN_ESCAPES. Returns whether it was.
 */
static bool
bound_escapes(struct output *output, uint64_t limit)
{
	size_t fit;

	if (output->size <= limit / (JSON_TEXT_MAX / RUN_ESCAPES))
		return false;
	fit = json_text_fit(output->bytes, output->size, limit * RUN_ESCAPES);
	if (fit == output->size)
		return false;
	output->size = fit;
	output->truncated = true;
	return true;
}

/*
 * A stream that was cut ends with a whole character. If one exceeded the limit, this is the
 * verdict, even if the program had ended before the runner learned of it.
 */
static void
settle(struct run *run, const struct watch *watch)
{
	bool is_long = bound_escapes(&run->out, watch->output_bytes);

	is_long = bound_escapes(&run->err, watch->output_bytes) || is_long;
	if (run->out.truncated)
		run->out.size = json_text_trim(run->out.bytes, run->out.size);
	if (run->err.truncated)
		run->err.size = json_text_trim(run->err.bytes, run->err.size);
	if (watch->limit_hit || is_long) {
		run->result.verdict = VERDICT_OUTPUT_LIMIT;
		run->result.exit_code = -1;
	}
}

/* The descriptors of a run, in the order of PROTO_RUN. */
enum { FD_JOB, FD_OUT, FD_ERR, FD_INPUT, FD_PATTERNS, FD_COUNT };
_Static_assert(FD_COUNT == RUN_SENT_FDS, "struct execution has room for them");

/*
 * Open all descriptors, and the worker's `ends` of the pipes. Returns NULL, or the name of the step
 * that failed, with errno. The caller closes the descriptors either way.
 */
static const char *
open_fds(const struct run_request *request, bool is_compile, bool is_relayed, int *fds, int *ends, struct run_input *input)
{
	fds[FD_OUT] = run_pipe_output(&ends[0]);
	if (fds[FD_OUT] < 0)
		return "make a pipe for stdout";
	/* A compiler's two streams are one text, in the order in which they were written. */
	fds[FD_ERR] = is_compile ? fcntl(fds[FD_OUT], F_DUPFD_CLOEXEC, 0) : run_pipe_output(&ends[1]);
	if (fds[FD_ERR] < 0)
		return "make a pipe for stderr";
	fds[FD_JOB] = memfd_job(request);
	if (fds[FD_JOB] < 0)
		return "write the job";
	if ((request->input.size > 0 || is_relayed) && !is_compile) {
		fds[FD_INPUT] = is_relayed ? run_pipe_relayed(input) : run_pipe_input(&request->input, input);
		if (fds[FD_INPUT] < 0)
			return "make a pipe for stdin";
	}
	if (request->collect.count > 0 && !is_compile) {
		fds[FD_PATTERNS] = memfd_patterns(request);
		if (fds[FD_PATTERNS] < 0)
			return "write the patterns";
	}
	return NULL;
}

/* Send the message with those of the descriptors that there are. */
static int
send_request(struct runner_link *link, const struct proto_request *message, const int *fds, enum reconnect reconnect)
{
	int sent[FD_COUNT];
	size_t count = 0;

	for (size_t i = 0; i < FD_COUNT; i++) {
		if (fds[i] >= 0)
			sent[count++] = fds[i];
	}
	return runner_link_send(link, message, sent, count, reconnect);
}

enum run_end
run_begin(struct execution *execution, struct run *run, struct runner_link *link, struct proto_request *message,
    const struct run_request *request, const struct run_client *client, bool *start_over)
{
	bool is_compile = message->kind == PROTO_COMPILE, is_relayed = execution->is_relayed;
	/* A program that was compiled is held for this connection only. */
	bool is_second = is_compile || run->compilation.took_place;
	const struct config *config = link->config;
	uint64_t wall_most_ms = config_wall_most_ms(config, config->language[message->index], message->limits.wall_ms);
	const char *failed;

	*execution = (struct execution){ .fds = { -1, -1, -1, -1, -1 }, .ends = { -1, -1 }, .input = { .fd = -1 } };
	execution->is_relayed = is_relayed;
	execution->collects = request->collect.count > 0 && !is_compile;
	execution->collect_form = request->collect_form;
	*start_over = false;
	message->id = ++run->id;
	failed = open_fds(request, is_compile, is_relayed, execution->fds, execution->ends, &execution->input);
	if (failed != NULL) {
		set_cause(run, "%s: %s", failed, strerror(errno));
		return RUN_FAULT;
	}
	if (send_request(link, message, execution->fds, is_second ? RECONNECT_NEVER : RECONNECT_PATIENTLY) != 0) {
		set_cause(run, "%s", link->error);
		*start_over = is_second;
		return RUN_NO_RUNNER;
	}
	execution->watch = (struct watch){
		.link = link,
		.input = is_relayed ? NULL : &execution->input,
		.follower = client->follower,
		.is_compile = is_compile,
		.collects = execution->collects,
		.output_bytes = message->limits.output_bytes,
		.deadline_us = clock_us() + (RUNNER_GRACE_MS + client->queue_ms + wall_most_ms) * 1000,
		.polled = {
			[WATCH_OUT] = { .fd = execution->ends[0], .events = POLLIN },
			[WATCH_ERR] = { .fd = execution->ends[1], .events = POLLIN },
			[WATCH_RUNNER] = { .fd = link->fd, .events = POLLIN },
			[WATCH_CLIENT] = { .fd = client->fd, .events = POLLRDHUP },
			[WATCH_CUT] = { .fd = client->cut_fd, .events = POLLIN },
			[WATCH_INPUT] = { .fd = is_relayed ? -1 : execution->input.fd, .events = POLLOUT },
		},
	};
	/*
	 * A pipe ends when its last writer has closed it, so this process must not be one of them.
	 */
	fdpass_close(execution->fds, FD_COUNT);
	return RUN_ENDED;
}

void
run_finish(struct execution *execution, struct run *run, enum run_end end)
{
	if (end == RUN_ENDED)
		settle(run, &execution->watch);
	if (end == RUN_ENDED && execution->collects) {
		collected_take(&run->files, run->files_fd, &execution->collect_form);
		run->files_fd = -1;
	}
	fdpass_close(&run->files_fd, 1);
	fdpass_close(execution->fds, FD_COUNT);
	fdpass_close(execution->ends, 2);
	run_pipe_drop(&execution->input);
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
	enum run_end end = run_begin(&execution, run, link, message, request, client, start_over);

	if (end == RUN_ENDED) {
		if (!is_compile && execution.input.fd < 0)
			request_free(request);
		end = wait_for_end(run, &execution.watch);
	}
	run_finish(&execution, run, end);
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
	enum run_end end;

	source.more = (struct request_files){ .file = NULL };
	*start_over = false;
	compilation->took_place = true;
	compilation->limits = request->compiler.wall_ms != 0 ? &request->compiler :
	                                                       &config->language[request->language]->compile.limits;
	compilation->result = (struct run_result){ .verdict = VERDICT_OK };
	digest_source(request, client->share->name, message.digest);
	if (runner_link_ask(link, &message, RECONNECT_PATIENTLY, &reply) != 0) {
		set_cause(run, "%s", link->error);
		return RUN_NO_RUNNER;
	}
	compilation->was_cached = reply.u.found != 0;
	if (compilation->was_cached)
		return RUN_ENDED;
	message.kind = PROTO_COMPILE;
	message.flags = client->follower != NULL ? RUN_EVENTS : 0;
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
		    (client->follower != NULL ? RUN_EVENTS : 0u),
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
		if (!run->compilation.was_cached)
			message.waited_us = run->compilation.result.queue_us;
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
		output_release(&run->compilation.text);
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
		output_release(&run->compilation.text);
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
