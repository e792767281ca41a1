/*
 * run.c - see run.h. Runs in the worker.
 *
 * The guest writes straight into our pipes, and whoever ran the code is dead when the result comes, so the end of
 * both pipes and the result are waited for, in whichever order they arrive. Nothing that a guest does can make this
 * wait longer than its limits: the runner kills it in time, and there are deadlines for a runner that does not.
 */
#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "digest.h"
#include "fdpass.h"
#include "json_text.h"
#include "log.h"
#include "memfd.h"

#define PIPE_BYTES 65536             /* what a pipe holds at first */
#define BIG_PIPE_BYTES (1024 * 1024) /* what any user may enlarge it to */
#define KEPT_BYTES (4 * PIPE_BYTES)  /* a buffer beyond this is given back after the run */
#define RUNNER_GRACE_MS 10000        /* by which a result may be later than queue_ms and wall_ms allow */
#define SHORT_RUN_MS 2               /* the output of a run that ends by then is read at its end */
#define DRAIN_GRACE_MS 5000          /* by which the end of the pipes may be later than the result */

enum { POLL_OUT, POLL_ERR, POLL_RUNNER, POLL_CLIENT, POLL_COUNT };

static uint32_t last_id;

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
		free(output->bytes);
		output_init(output);
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
	run->compilation.took_place = false;
	run->compilation.result.verdict = VERDICT_OK;
}

static void
cancel(struct runner_link *link, enum proto_cancel why)
{
	struct proto_request request = { .kind = PROTO_CANCEL, .id = last_id, .cancel = why };

	/* Should it not arrive, then neither does a result, and that has an end of its own. */
	if (fdpass_send(link->fd, &request, sizeof request, NULL, 0) < 0)
		log_warn("%s: cancel: %s", link->path, strerror(errno));
}

/* One byte more than the limit tells that there was more. */
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

/* Read once. Returns 1 while the pipe is open, 0 at its end, or -1 with errno. */
static int
output_read(struct output *output, int fd, uint64_t limit)
{
	char waste[PIPE_BYTES];
	ssize_t n;

	if (!output->truncated && output->size == output->capacity && output_grow(output, limit) < 0)
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
	/* A run that fills its pipe at once has more to say: fewer, bigger reads. */
	if (output->size == 0 && n == PIPE_BYTES)
		fcntl(fd, F_SETPIPE_SZ, BIG_PIPE_BYTES);
	output->size += (size_t)n;
	if (output->size > limit) {
		output->size = (size_t)limit;
		output->truncated = true;
	}
	return 1;
}

/* A run while it is waited for. */
struct watch {
	struct runner_link *link;
	uint64_t output_bytes;
	uint64_t deadline_us;
	struct pollfd polled[POLL_COUNT]; /* an fd of -1 is done with */
	bool answered;                    /* the result is there */
	bool limit_hit;                   /* a stream went over output_bytes */
};

/* Read the pipes that have something, or have ended. Returns 0, or -1 after a line in the log. */
static int
take_output(struct run *run, struct watch *watch)
{
	struct output *const outputs[] = { [POLL_OUT] = &run->out, [POLL_ERR] = &run->err };

	for (int i = POLL_OUT; i <= POLL_ERR; i++) {
		int more;

		if (watch->polled[i].revents == 0)
			continue;
		more = output_read(outputs[i], watch->polled[i].fd, watch->output_bytes);
		/* Nobody writes any more, so the end is likely to be next: it saves a poll(2) to look at once. */
		if (more > 0 && (watch->polled[i].revents & POLLHUP) != 0)
			more = output_read(outputs[i], watch->polled[i].fd, watch->output_bytes);
		if (more < 0) {
			log_warn("run %u: output: %s", last_id, strerror(errno));
			return -1;
		}
		if (more == 0)
			watch->polled[i].fd = -1;
		if (outputs[i]->truncated && !watch->limit_hit) {
			watch->limit_hit = true;
			if (!watch->answered)
				cancel(watch->link, CANCEL_OUTPUT_LIMIT);
		}
	}
	return 0;
}

/* Returns RUN_ENDED when the message was the result, and otherwise what there is to be done instead of waiting on. */
static enum run_end
take_answer(struct run *run, struct watch *watch)
{
	struct proto_reply reply;

	if (runner_link_receive(watch->link, &reply) < 0)
		return RUN_NO_RUNNER;
	if (reply.id == last_id && reply.kind == PROTO_REFUSED) {
		run->refusal = reply.u.refusal;
		return RUN_REFUSED;
	}
	if (reply.id != last_id || reply.kind != PROTO_RESULT) {
		log_warn("run %u: the runner answers with message %u about run %u", last_id, reply.kind, reply.id);
		return RUN_FAULT;
	}
	run->result = reply.u.result;
	watch->answered = true;
	watch->polled[POLL_RUNNER].fd = -1;
	watch->deadline_us = clock_us() + DRAIN_GRACE_MS * 1000;
	return RUN_ENDED;
}

/* The time is up. What that means depends on who is late. */
static enum run_end
give_up(struct run *run, struct watch *watch)
{
	if (!watch->answered) {
		log_warn("run %u: the runner has not ended it in time", last_id);
		return RUN_NO_RUNNER;
	}
	log_warn("run %u: its pipes stay open after the result", last_id);
	run->out.truncated |= watch->polled[POLL_OUT].fd >= 0;
	run->err.truncated |= watch->polled[POLL_ERR].fd >= 0;
	return RUN_ENDED;
}

static enum run_end
wait_for_end(struct run *run, struct watch *watch)
{
	struct pollfd *polled = watch->polled;

	/* Most runs end soon. Being woken by their output as well would only take time from them. */
	nfds_t skipped = POLL_RUNNER;

	while (!watch->answered || polled[POLL_OUT].fd >= 0 || polled[POLL_ERR].fd >= 0) {
		int64_t left_ms = (int64_t)(watch->deadline_us - clock_us()) / 1000;
		int n;

		if (left_ms <= 0)
			return give_up(run, watch);
		if (skipped > 0 && left_ms > SHORT_RUN_MS)
			left_ms = SHORT_RUN_MS;
		n = poll(polled + skipped, POLL_COUNT - skipped, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);
		skipped = 0;
		if (n < 0 && errno != EINTR) {
			log_warn("run %u: poll: %s", last_id, strerror(errno));
			return RUN_FAULT;
		}
		if (n <= 0)
			continue;
		if (take_output(run, watch) < 0)
			return RUN_FAULT;
		if (polled[POLL_CLIENT].revents != 0) {
			polled[POLL_CLIENT].fd = -1;
			if (!watch->answered)
				cancel(watch->link, CANCEL_CLIENT_GONE);
		}
		if (polled[POLL_RUNNER].revents != 0) {
			enum run_end end = take_answer(run, watch);

			if (end != RUN_ENDED)
				return end;
		}
	}
	return RUN_ENDED;
}

/* A stream that was cut ends with a whole character, and is the reason of the end even if the program was faster. */
static void
settle(struct run *run, const struct watch *watch)
{
	if (run->out.truncated)
		run->out.size = json_text_trim(run->out.bytes, run->out.size);
	if (run->err.truncated)
		run->err.size = json_text_trim(run->err.bytes, run->err.size);
	if (watch->limit_hit) {
		run->result.verdict = VERDICT_OUTPUT_LIMIT;
		run->result.exit_code = -1;
	}
}

/* What the runner is given, in the order of PROTO_RUN. */
enum { FD_JOB, FD_OUT, FD_ERR, FD_INPUT, FD_COUNT };

/* Make a pipe. Returns its end to write to, and our own in *end; or -1 with errno. */
static int
open_pipe(int *end)
{
	int both[2];

	if (pipe2(both, O_CLOEXEC) < 0)
		return -1;
	*end = both[0];
	/* Only our end: a program expects to block. It might read its own pipe, and be faster than we are. */
	if (fcntl(*end, F_SETFL, O_NONBLOCK) < 0) {
		close(both[1]);
		return -1;
	}
	return both[1];
}

/* Open all of it, and our `ends` of the pipes. Returns 0, or -1 with errno; the caller closes either way. */
static int
open_fds(const struct run_request *request, bool is_compile, int *fds, int *ends)
{
	fds[FD_OUT] = open_pipe(&ends[0]);
	if (fds[FD_OUT] < 0)
		return -1;
	/* A compiler's two streams are one text, in the order in which it was written. */
	fds[FD_ERR] = is_compile ? fcntl(fds[FD_OUT], F_DUPFD_CLOEXEC, 0) : open_pipe(&ends[1]);
	if (fds[FD_ERR] < 0)
		return -1;
	fds[FD_JOB] = memfd_job(request);
	if (fds[FD_JOB] < 0)
		return -1;
	if (request->input.size > 0 && !is_compile) {
		fds[FD_INPUT] = memfd_text(&request->input);
		if (fds[FD_INPUT] < 0)
			return -1;
	}
	return 0;
}

/* Carry out `order` with what `request` holds, which is freed as soon as it is written down, unless it is to be compiled. */
static enum run_end
carry_out(struct run *run, struct runner_link *link, const struct config *config, struct proto_request *order,
    struct run_request *request, int client_fd)
{
	bool is_compile = order->kind == PROTO_COMPILE;
	int fds[FD_COUNT] = { -1, -1, -1, -1 };
	int ends[2] = { -1, -1 };
	enum run_end end;

	order->id = ++last_id;
	if (open_fds(request, is_compile, fds, ends) < 0) {
		log_warn("run %u: %s", last_id, strerror(errno));
		end = RUN_FAULT;
	} else if (runner_link_send(link, order, fds, fds[FD_INPUT] < 0 ? FD_INPUT : FD_COUNT, true) < 0) {
		end = RUN_NO_RUNNER;
	} else {
		struct watch watch = {
			.link = link,
			.output_bytes = order->limits.output_bytes,
			.deadline_us = clock_us() + (RUNNER_GRACE_MS + config->queue_ms + order->limits.wall_ms) * 1000,
			.polled = {
				[POLL_OUT] = { .fd = ends[0], .events = POLLIN },
				[POLL_ERR] = { .fd = ends[1], .events = POLLIN },
				[POLL_RUNNER] = { .fd = link->fd, .events = POLLIN },
				[POLL_CLIENT] = { .fd = client_fd, .events = POLLRDHUP },
			},
		};

		/* The pipes end only when nobody but the guest can write into them. */
		fdpass_close(fds, FD_COUNT);
		if (!is_compile)
			request_free(request);
		end = wait_for_end(run, &watch);
		if (end == RUN_ENDED)
			settle(run, &watch);
		/* Without its connection the runner ends the run, and its late answer cannot be taken for another's. */
		if (end == RUN_NO_RUNNER || end == RUN_FAULT)
			runner_link_close(link);
	}
	fdpass_close(fds, FD_COUNT);
	fdpass_close(ends, 2);
	return end;
}

static void
swap(struct output *a, struct output *b)
{
	struct output other = *a;

	*a = *b;
	*b = other;
}

/*
 * See to it that the runner holds what the source was compiled to. RUN_ENDED: it does, or compilation.result says why
 * not, and then run->result says that there is no run.
 */
static enum run_end
compile(struct run *run, struct runner_link *link, const struct config *config, struct run_request *request,
    int client_fd)
{
	struct compilation *compilation = &run->compilation;
	struct proto_request order = { .kind = PROTO_FIND, .index = (uint32_t)request->language };
	struct proto_reply answer;
	enum run_end end;

	compilation->took_place = true;
	compilation->limits = &config->language[request->language]->compile.limits;
	compilation->result = (struct run_result){ .verdict = VERDICT_OK };
	digest_source(request, order.digest);
	if (runner_link_ask(link, &order, true, &answer) < 0)
		return RUN_NO_RUNNER;
	compilation->was_cached = answer.u.found != 0;
	if (compilation->was_cached)
		return RUN_ENDED;
	order.kind = PROTO_COMPILE;
	order.limits = *compilation->limits;
	end = carry_out(run, link, config, &order, request, client_fd);
	compilation->result = run->result;
	swap(&compilation->text, &run->out);
	if (end == RUN_ENDED && run->result.verdict != VERDICT_OK) {
		/* What the compiler had to say is what the client is waiting for. */
		swap(&compilation->text, &run->err);
		if (run->result.verdict != VERDICT_CANCELLED)
			run->result.verdict = VERDICT_COMPILE_ERROR;
	}
	return end;
}

enum run_end
run_perform(struct run *run, struct runner_link *link, const struct config *config, struct run_request *request,
    int client_fd)
{
	struct proto_request order = {
		.kind = PROTO_RUN,
		.index = (uint32_t)request->language,
		.warm = request->warm,
		.flags = (request->network ? RUN_NETWORK : 0u) |
		    (request->args.count + request->env.count > 0 ? RUN_ARGUED : 0u),
		.proxy = request->proxy,
		.limits = request->limits,
	};
	enum run_end end = RUN_ENDED;

	if (config_is_compiled(config->language[request->language]))
		end = compile(run, link, config, request, client_fd);
	if (end == RUN_ENDED && run->compilation.result.verdict == VERDICT_OK)
		end = carry_out(run, link, config, &order, request, client_fd);
	run->level = link->level;
	request_free(request);
	return end;
}
