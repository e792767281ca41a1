/* run_pair.c - see run_pair.h. Runs in a thread of the worker. */
#define _GNU_SOURCE
#include "run_pair.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

/*
 * A number that no other pair has at the same time: a pid has 22 bits, and no worker has 1024
 * threads.
 */
static uint32_t
pair_number(void)
{
	static atomic_uint count;

	return (uint32_t)getpid() << 10 | (atomic_fetch_add(&count, 1) & 0x3ffu);
}

/* Begin one side. A program that is compiled is found first; the caller has had it compiled. */
static enum run_end
begin(struct run_side *side, const struct config *config, const struct run_client *client, uint32_t pair)
{
	struct proto_request message;
	bool start_over;
	enum run_end end;

	side->run->compilation.took_place = false;
	if (config_is_compiled(config->language[side->request->language])) {
		end = run_compile(side->run, side->link, config, side->request, client);
		if (end != RUN_ENDED || side->run->compilation.result.verdict != VERDICT_OK)
			return end != RUN_ENDED ? end : RUN_FAULT;
	}
	run_message(config, side->request, client, &message);
	message.pair = pair;
	side->execution.is_relayed = true;
	side->is_begun = true;
	return run_execution_begin(&side->execution, side->run, side->link, &message, side->request, client, &start_over);
}

/* Whether the side has come to an end of any kind. */
static bool
is_over(const struct run_side *side)
{
	return side->end != RUN_ENDED || !run_wait_is_needed(&side->execution.watch);
}

/* Pass on what one side has written. */
static void
relay(struct run_side *from, struct run_side *to)
{
	struct run_input *input = &to->execution.input;
	const struct output *output = &from->run->out;
	bool is_last = from->end != RUN_ENDED ||
	    (from->execution.watch.answered && from->execution.watch.polled[WATCH_OUT].fd < 0);

	if (input->fd < 0)
		return;
	input->bytes = output->bytes + from->passed;
	input->left = output->size - from->passed;
	run_pipe_pass(input);
	if (input->fd < 0)
		return;
	from->passed = output->size - input->left;
	if (is_last && input->left == 0)
		run_pipe_drop(input);
	to->execution.watch.polled[WATCH_INPUT].fd = input->left > 0 ? input->fd : -1;
}

/* Give up a side, and with it the other one. */
static void
fail(struct run_side *side, struct run_side *other, enum run_end end)
{
	side->end = end;
	if (!is_over(other))
		run_wait_cancel(other->run, &other->execution.watch);
}

/* Deal with what was found of one side. */
static void
take_events(struct run_side *side, struct run_side *other)
{
	struct watch *watch = &side->execution.watch;
	bool was_answered = watch->answered;
	enum run_end end = clock_us() < watch->deadline_us ? run_wait_take_events(side->run, watch) :
	                                                     run_wait_deadline_passed(side->run, watch);

	if (end != RUN_ENDED) {
		fail(side, other, end);
		return;
	}
	if (clock_us() >= watch->deadline_us && watch->answered)
		watch->polled[WATCH_OUT].fd = watch->polled[WATCH_ERR].fd = -1;
	if (watch->answered && !was_answered)
		side->was_first = !other->execution.watch.answered && other->end == RUN_ENDED;
}

static int
left_ms(const struct run_side *side)
{
	int ms = is_over(side) ? INT_MAX : run_wait_left_ms(&side->execution.watch);

	return ms < 0 ? 0 : ms;
}

static void
wait_for_both(struct run_side side[2])
{
	struct pollfd polled[2 * WATCH_COUNT];
	bool is_judged = false;

	while (!is_over(&side[0]) || !is_over(&side[1])) {
		int first_ms = left_ms(&side[0]), second_ms = left_ms(&side[1]);

		for (int i = 0; i < 2; i++) {
			memcpy(polled + i * WATCH_COUNT, side[i].execution.watch.polled, WATCH_COUNT * sizeof *polled);
			for (int j = 0; is_over(&side[i]) && j < WATCH_COUNT; j++)
				polled[i * WATCH_COUNT + j].fd = -1;
		}
		if (poll(polled, 2 * WATCH_COUNT, first_ms < second_ms ? first_ms : second_ms) < 0) {
			if (errno == EINTR)
				continue;
			fail(&side[0], &side[1], RUN_FAULT);
			fail(&side[1], &side[0], RUN_FAULT);
			return;
		}
		for (int i = 0; i < 2; i++) {
			struct pollfd *own = side[i].execution.watch.polled;

			for (int j = 0; j < WATCH_COUNT; j++)
				own[j].revents = polled[i * WATCH_COUNT + j].revents;
			if (!is_over(&side[i]))
				take_events(&side[i], &side[1 - i]);
		}
		relay(&side[0], &side[1]);
		relay(&side[1], &side[0]);
		if (!is_judged && side[1].execution.watch.answered && side[1].run->result.verdict != VERDICT_OK) {
			is_judged = true;
			run_wait_cancel(side[0].run, &side[0].execution.watch);
		}
	}
}

enum run_end
run_pair(struct run_side side[2], const struct config *config, const struct run_client *client)
{
	uint32_t pair = pair_number();

	for (int i = 0; i < 2; i++) {
		side[i].execution = (struct execution){ .fds = { -1, -1, -1, -1, -1, -1 },
			.ends = { -1, -1 },
			.input = { .fd = -1 } };
		side[i].passed = 0;
		side[i].is_begun = side[i].was_first = false;
		side[i].end = RUN_ENDED;
	}
	/* Side 1 first: it is the one that waits for the other to speak. */
	side[1].end = begin(&side[1], config, client, pair);
	if (side[1].end == RUN_ENDED)
		side[0].end = begin(&side[0], config, client, pair);
	if (side[1].end == RUN_ENDED && side[0].end != RUN_ENDED)
		run_wait_cancel(side[1].run, &side[1].execution.watch);
	if (side[1].end != RUN_ENDED)
		side[0].end = side[1].end;
	wait_for_both(side);
	for (int i = 0; i < 2; i++) {
		if (side[i].is_begun)
			run_execution_finish(&side[i].execution, side[i].run, side[i].end);
		/* A late answer must not be taken for that of the next run. */
		if (side[i].end != RUN_ENDED && side[i].end != RUN_REFUSED)
			runner_link_close(side[i].link);
		side[i].run->level = side[i].link->level;
	}
	return side[0].end != RUN_ENDED ? side[0].end : side[1].end;
}
