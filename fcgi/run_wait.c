/*
 * run_wait.c - see run_wait.h. Runs in a thread of the worker.
 *
 * The guest reads and writes the worker's pipes. The worker waits for the result and for both
 * ends, in whichever order they come. When the result arrives the program has ended, and all that
 * it wrote is in the pipes. Its children are killed then, and the kernel may take seconds to free
 * their memory. So a pipe that is empty after the result counts as one that has ended.
 *
 * A guest cannot extend this beyond its limits: the runner kills it in time, and deadlines here
 * end the wait for a runner that does not.
 */
#define _GNU_SOURCE
#include "run_wait.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "log_limit.h"

#define SHORT_RUN_MS 2      /* the output of a run that ends within this time is read at its end */
#define DRAIN_GRACE_MS 5000 /* how much later than the result children may write */

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
 * Read the pipes that have data or have ended. After the result, one that has neither has nothing
 * more for us. Returns 0; or -1 with the run's cause set.
 */
static int
take_output(struct run *run, struct watch *watch)
{
	struct output *const outputs[] = { [WATCH_OUT] = &run->out, [WATCH_ERR] = &run->err };

	for (int i = WATCH_OUT; i <= WATCH_ERR; i++) {
		int more;

		if (watch->polled[i].revents == 0) {
			if (watch->answered)
				watch->polled[i].fd = -1;
			continue;
		}
		more = run_output_read(outputs[i], watch->polled[i].fd, watch->output_bytes);
		/*
		 * All writers are gone, so the end is likely to be next: reading again at once
		 * saves a poll(2).
		 */
		if (more > 0 && (watch->polled[i].revents & POLLHUP) != 0)
			more = run_output_read(outputs[i], watch->polled[i].fd, watch->output_bytes);
		if (more < 0) {
			run_set_cause(run, "read the output: %s", strerror(errno));
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
		run_set_cause(run, "%s", watch->link->error);
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
		run_set_cause(run, "run %u: the runner answered with message %u about run %u", run->id, reply.kind, reply.id);
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
run_wait_deadline_passed(struct run *run, struct watch *watch)
{
	static struct log_limit limit;

	if (!watch->answered) {
		run_set_cause(run, "run %u: no result in time", run->id);
		return RUN_LOST;
	}
	log_limit_warn(&limit, "run %u: its children write on after the result; the output may be incomplete", run->id);
	run->out.truncated |= watch->polled[WATCH_OUT].fd >= 0;
	run->err.truncated |= watch->polled[WATCH_ERR].fd >= 0;
	return RUN_ENDED;
}

void
run_wait_cancel(struct run *run, struct watch *watch)
{
	if (!watch->answered)
		cancel(watch->link, run->id, CANCEL_CLIENT_GONE);
}

bool
run_wait_is_needed(const struct watch *watch)
{
	return !watch->answered || watch->polled[WATCH_OUT].fd >= 0 || watch->polled[WATCH_ERR].fd >= 0;
}

int
run_wait_left_ms(const struct watch *watch)
{
	int64_t left_ms = (int64_t)(watch->deadline_us - clock_us()) / 1000;

	if (left_ms <= 0)
		return -1;
	return watch->answered ? 0 : left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

enum run_end
run_wait_take_events(struct run *run, struct watch *watch)
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
			run_set_cause(run, "run %u: this worker ends, and cannot wait any longer", run->id);
			return RUN_LOST;
		}
	}
	return RUN_ENDED;
}

/*
 * Have poll(2) announce room for what the follower has to send, if it is time for that. Returns how
 * long to wait for anything else: `left_ms`, or less.
 */
static int
await_turn(const struct run *run, struct watch *watch, int left_ms)
{
	struct pollfd *client = &watch->polled[WATCH_CLIENT];
	int due_ms = client->fd < 0 ? INT_MAX : watch->follower->due_ms(watch->follower, run);

	client->events = due_ms == 0 ? POLLRDHUP | POLLOUT : POLLRDHUP;
	return due_ms > 0 && due_ms < left_ms ? due_ms : left_ms;
}

enum run_end
run_wait(struct run *run, struct watch *watch)
{
	/*
	 * Most runs end soon. Waking up for their output as well would only take CPU time from
	 * them.
	 */
	nfds_t skipped = WATCH_RUNNER;

	while (run_wait_is_needed(watch)) {
		int left_ms = run_wait_left_ms(watch), n;
		enum run_end end;

		if (left_ms < 0)
			return run_wait_deadline_passed(run, watch);
		if (watch->follower != NULL)
			left_ms = await_turn(run, watch, left_ms);
		if (skipped > 0 && left_ms > SHORT_RUN_MS)
			left_ms = SHORT_RUN_MS;
		n = poll(watch->polled + skipped, WATCH_COUNT - skipped, left_ms);
		skipped = 0;
		if (n < 0 && errno != EINTR) {
			run_set_cause(run, "poll: %s", strerror(errno));
			return RUN_FAULT;
		}
		if (n < 0 || (n == 0 && !watch->answered))
			continue;
		end = run_wait_take_events(run, watch);
		if (end != RUN_ENDED)
			return end;
	}
	return RUN_ENDED;
}
