/* run.c - see run.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/run.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/language.h"
#include "broker/run_queue.h"
#include "fdpass.h"

static void
leave(struct broker *broker, struct run *run)
{
	fdpass_close(run->fds, run->fd_count);
	run->fd_count = 0;
	fdpass_close(&run->patterns_fd, 1);
	fdpass_close(&run->pack_fd, 1);
	loop_unwatch(&broker->loop, &run->extraction);
	run->cell = NULL;
	run->state = RUN_IDLE;
	run_queue_forget(broker, run);
}

void
run_answer(struct broker *broker, struct run *run)
{
	/* A compiled program is for one run, even for one that was cancelled before it began. */
	if (!run->is_compile)
		fdpass_close(&run->program_fd, 1);
	leave(broker, run);
	run->owner->ended(broker, run);
}

/* One line a second of a kind and language: a thousand runs may meet the same full queue. */
static void
log_refusal(struct language *language, enum refusal refusal, const char *step, int error)
{
	static const char *const words[] = { [REFUSED_BUSY] = "busy",
		[REFUSED_UNAVAILABLE] = "not available",
		[REFUSED_MISSING] = "not installed",
		[REFUSED_FAULT] = "internal error",
		[REFUSED_MALFORMED] = "malformed",
		[REFUSED_RATE] = "its key's rate",
		[REFUSED_SHARE] = "its key's share of the queue",
		[REFUSED_STOPPING] = "the runner stops",
		[REFUSED_LOST] = "its result is lost",
		[REFUSED_TOO_LARGE] = "too large" };

	log_limit_warn(&language->refusals[refusal], "%s: a run was refused: %s: %s%s%s", language->config->name, words[refusal],
	    step, error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
}

static void
refuse(struct broker *broker, struct run *run, enum refusal refusal, uint32_t retry_ms)
{
	fdpass_close(&run->program_fd, 1);
	leave(broker, run);
	run->owner->refused(broker, run, refusal, retry_ms);
}

enum refusal
run_loss(const struct run *run)
{
	return run->is_compile ? REFUSED_FAULT : REFUSED_LOST;
}

void
run_refuse(struct broker *broker, struct run *run, enum refusal refusal, const char *step, int error)
{
	log_refusal(run->language, refusal, step, error);
	refuse(broker, run, refusal, 0);
}

void
run_refuse_for_now(struct broker *broker, struct run *run, enum refusal refusal, const char *step, uint32_t retry_ms)
{
	log_refusal(run->language, refusal, step, 0);
	refuse(broker, run, refusal, retry_ms);
}

void
run_drop(struct broker *broker, struct run *run)
{
	leave(broker, run);
	fdpass_close(&run->program_fd, 1);
	fdpass_close(&run->files_fd, 1);
}
