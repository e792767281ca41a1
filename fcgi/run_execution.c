/* run_execution.c - see run_execution.h. Runs in a thread of the worker. */
#define _GNU_SOURCE
#include "run_execution.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "clock.h"
#include "fdpass.h"
#include "memfd.h"

#define RUNNER_GRACE_MS 10000 /* how much later than queue_ms and the stretched wall_ms a result may come */

/* The descriptors of a run, in the order of PROTO_RUN. */
enum { FD_JOB, FD_OUT, FD_ERR, FD_INPUT, FD_PATTERNS, FD_PACK, FD_COUNT };
_Static_assert(FD_COUNT == RUN_SENT_FDS, "struct execution has room for them");

bool
run_uses_pack(const struct run_request *request)
{
	return request->pack_fd > 0 && request->files.stored + request->more.stored > 0;
}

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
	if (run_uses_pack(request)) {
		fds[FD_PACK] = fcntl(request->pack_fd, F_DUPFD_CLOEXEC, 0);
		if (fds[FD_PACK] < 0)
			return "duplicate the pack";
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
run_execution_begin(struct execution *execution, struct run *run, struct runner_link *link, struct proto_request *message,
    const struct run_request *request, const struct run_client *client, bool *start_over)
{
	bool is_compile = message->kind == PROTO_COMPILE, is_relayed = execution->is_relayed;
	/* A program that was compiled is held for this connection only. */
	bool is_second = is_compile || run->compilation.took_place;
	const struct config *config = link->config;
	uint64_t wall_most_ms = config_wall_most_ms(config, config->language[message->index], message->limits.wall_ms);
	const char *failed;

	*execution = (struct execution){ .fds = { -1, -1, -1, -1, -1, -1 }, .ends = { -1, -1 }, .input = { .fd = -1 } };
	execution->is_relayed = is_relayed;
	execution->collects = request->collect.count > 0 && !is_compile;
	execution->collect_form = request->collect_form;
	*start_over = false;
	message->id = ++run->id;
	failed = open_fds(request, is_compile, is_relayed, execution->fds, execution->ends, &execution->input);
	if (failed != NULL) {
		run_set_cause(run, "%s: %s", failed, strerror(errno));
		return RUN_FAULT;
	}
	if (send_request(link, message, execution->fds, is_second ? RECONNECT_NEVER : RECONNECT_PATIENTLY) != 0) {
		run_set_cause(run, "%s", link->error);
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

/*
 * A stream that was cut ends with a whole character. If one exceeded the limit, this is the
 * verdict, even if the program had ended before the runner learned of it.
 */
static void
settle(struct run *run, const struct watch *watch)
{
	bool is_long = run_output_settle(&run->out, watch->output_bytes);

	is_long = run_output_settle(&run->err, watch->output_bytes) || is_long;
	if (watch->limit_hit || is_long) {
		run->result.verdict = VERDICT_OUTPUT_LIMIT;
		run->result.exit_code = -1;
	}
}

void
run_execution_finish(struct execution *execution, struct run *run, enum run_end end)
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
