/* client_run.c - see client_run.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/client_run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/client.h"
#include "broker/client_find.h"
#include "broker/client_reply.h"
#include "broker/language.h"
#include "broker/meter.h"
#include "clock.h"
#include "fdpass.h"

#define NEEDED_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

/* ---- answers ---------------------------------------------------------------------------------------------------- */

/* Answer a run, or a compilation. */
static void
reply_about_run(struct broker *broker, struct client *client, struct proto_reply *message, const int *fds, size_t fd_count)
{
	uint64_t now_us = clock_us();

	message->id = client->id;
	if (client->account != NULL)
		message->account = key_account_report(client->account, now_us);
	key_account_release(&broker->accounts, client->account, now_us);
	client->account = NULL;
	client->state = CLIENT_IDLE;
	client_reply_with(client, message, fds, fd_count);
	client_reply_moved(broker, client);
}

static struct client *
client_of(struct run *run)
{
	return (struct client *)(void *)((char *)run - offsetof(struct client, run));
}

static void
run_ended(struct broker *broker, struct run *run)
{
	struct client *client = client_of(run);
	struct proto_reply message = { .kind = PROTO_RESULT, .u.result = run->result };
	struct run_result *result = &message.u.result;

	if (run->is_compile && result->verdict == VERDICT_OK) {
		if (run->program_fd >= 0) {
			client_find_keep(broker, client);
		} else {
			/*
			 * The compiler said that all went well, and made nothing that can be run.
			 */
			result->verdict = VERDICT_COMPILE_ERROR;
			result->exit_code = -1;
		}
	}
	meter_ended(broker, run, result, client->account->share.name);
	reply_about_run(broker, client, &message, &run->files_fd, run->files_fd >= 0);
	fdpass_close(&run->files_fd, 1);
}

static void
run_refused(struct broker *broker, struct run *run, enum refusal refusal, uint32_t retry_ms)
{
	struct proto_reply message = { .kind = PROTO_REFUSED, .u.refused = { .refusal = refusal, .retry_ms = retry_ms } };
	struct client *client = client_of(run);

	meter_refused(broker, run, refusal, client->account != NULL ? client->account->share.name : "");
	reply_about_run(broker, client, &message, NULL, 0);
}

/* Tell the worker how far its run is. The answer comes later. */
static void
tell_progress(struct client *client, struct proto_progress progress)
{
	const struct proto_reply message = { .kind = PROTO_PROGRESS,
		.id = client->id,
		.account = key_account_report(client->account, clock_us()),
		.u.progress = progress };

	client_reply(client, &message);
}

static void
run_started(struct broker *broker, struct run *run, uint64_t queue_us, uint64_t spawn_us)
{
	(void)broker;
	if (!run->is_compile)
		tell_progress(client_of(run),
		    (struct proto_progress){ .progress = PROGRESS_STARTED, .queue_us = queue_us, .spawn_us = spawn_us });
}

const struct run_owner client_run_owner = { .ended = run_ended, .refused = run_refused, .started = run_started };

/* ---- runs ------------------------------------------------------------------------------------------------------- */

/*
 * The grant (enum policy_grant) of a run or a compilation. A compiler has neither network
 * nor loopback.
 */
static unsigned
grant_of(const struct broker *broker, const struct proto_request *request, uint64_t processes)
{
	uint32_t flags = request->kind == PROTO_RUN ? request->flags : 0;
	unsigned grant = processes > 1 ? GRANT_PROCESSES : 0u;

	if ((flags & RUN_LOOPBACK) != 0)
		return config_has_loopback(broker->config) ? grant | GRANT_LOOPBACK : grant;
	return (flags & RUN_NETWORK) != 0 && broker->config->network != NETWORK_NONE ? grant | GRANT_NETWORK : grant;
}

/*
 * A sealed memfd: nobody can change what the guest reads, nor make the guest fill it and keep what
 * it was charged for.
 */
static bool
is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & NEEDED_SEALS) == NEEDED_SEALS;
}

static bool
is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/*
 * Whether the descriptors are those of a run. The guest gets nothing else: no directory, no socket,
 * no file of the host.
 */
static bool
are_right(const int *fds, size_t fd_count)
{
	return is_sealed(fds[0]) && is_pipe(fds[1]) && is_pipe(fds[2]) && (fd_count < 4 || is_pipe(fds[3]));
}

/*
 * Whether the rate of the key allows this request. A request for a compiled language was counted
 * when it asked for its program.
 */
static bool
is_over_rate(const struct client *client, const struct run *run)
{
	if (config_is_compiled(run->language->config))
		return client->is_over_rate;
	return !key_account_take(client->account, clock_us());
}

/*
 * Queue the run of a client, which suits pool number `best`, or refuse it, if it is known already
 * that it cannot be carried out.
 */
static void
queue_or_refuse(struct broker *broker, struct client *client, const struct proto_request *request, uint32_t best)
{
	struct run *run = &client->run;
	struct language *language = run->language;
	const struct pool *pool;

	run->pool = language_pool_for_now(language, best);
	pool = &language->pool[run->pool];

	language_look(broker, language);
	if (broker->drain == DRAIN_STOP) {
		run_refuse(broker, run, REFUSED_STOPPING, "it had not begun", 0);
		return;
	}
	client->account = key_account_hold(&broker->accounts, &request->share, clock_us());
	if (client->account == NULL) {
		run_refuse(broker, run, REFUSED_BUSY, "too many keys have runs", 0);
		return;
	}
	run->account = key_account_hold_too(client->account);
	if (is_over_rate(client, run))
		run_refuse_for_now(broker, run, REFUSED_RATE, client->account->share.name,
		    key_account_next_ms(client->account, clock_us()));
	else if (language->state == LANGUAGE_MISSING)
		run_refuse(broker, run, REFUSED_MISSING, language->reason, 0);
	else if (layers_broken(&broker->layers) != NULL)
		run_refuse(broker, run, REFUSED_UNAVAILABLE, "a required layer is not in force", 0);
	else if (language->state == LANGUAGE_FAILING)
		run_refuse(broker, run, REFUSED_UNAVAILABLE, language->reason, 0);
	else if (pool_is_broken(pool) && pool_backs_off(pool) && pool->armed == NULL)
		run_refuse(broker, run, REFUSED_FAULT, broker->trouble, 0);
	else if (run_queue_offer(broker, run, request->queue_ms, request->waited_us))
		language_wake(broker, language, best);
}

/* The part that a run and a compilation have in common. `limits`: of either. */
static void
take(struct broker *broker, struct client *client, const struct proto_request *request, const struct run_limits *limits,
    const int *fds, size_t fd_count)
{
	struct run *run = &client->run;

	client->id = request->id;
	client->state = CLIENT_WAITING;
	run->language = &broker->language[request->index];
	run->limits = *limits;
	run->proxy = request->proxy;
	run->pair = request->pair;
	run->is_compile = request->kind == PROTO_COMPILE;
	run->is_followed = (request->flags & RUN_EVENTS) != 0;
	memcpy(run->fds, fds, fd_count * sizeof *fds);
	run->fd_count = fd_count;
	queue_or_refuse(broker, client, request,
	    language_pool(run->language, request->warm, request->flags, grant_of(broker, request, limits->processes)));
	if (run->is_followed && run->state == RUN_QUEUED)
		tell_progress(client, (struct proto_progress){ .progress = PROGRESS_QUEUED });
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

int
client_run_take(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count)
{
	const struct language_config *config;
	bool has_patterns = (request->flags & RUN_COLLECT) != 0, has_pack = (request->flags & RUN_PACK) != 0;
	size_t more = (size_t)has_patterns + has_pack, run_fds = fd_count - more;

	if (fd_count < 3 + more || run_fds > RUN_FDS || (has_patterns && !is_sealed(fds[run_fds])) ||
	    (has_pack && !is_sealed(fds[fd_count - 1])))
		return -1;
	if (request->index >= broker->language_count || !key_account_is_share(&request->share) || !are_right(fds, run_fds))
		return -1;
	config = broker->language[request->index].config;
	/* The worker has checked the limits; it is not trusted. */
	if (request->warm >= config->warm_count || (client->run.program_fd >= 0) != config_is_compiled(config) ||
	    !run_limits_within(&request->limits, &config->limits.maximum) ||
	    (broker->config->network == NETWORK_PROXY && request->proxy >= broker->config->proxy_count))
		return -1;
	if (has_patterns)
		client->run.patterns_fd = fds[run_fds];
	if (has_pack)
		client->run.pack_fd = fds[fd_count - 1];
	take(broker, client, request, &request->limits, fds, run_fds);
	return 0;
}

/*
 * A compiler's limits come from the configuration; a worker can only lower them.
 */
static struct run_limits
compiler_limits(const struct run_limits *configured, const struct run_limits *asked)
{
	struct run_limits limits = *configured;

	/* 0 does not lower anything, and is above all of them here */
	if (asked->wall_ms - 1 < limits.wall_ms)
		limits.wall_ms = asked->wall_ms;
	if (asked->cpu_ms - 1 < limits.cpu_ms)
		limits.cpu_ms = asked->cpu_ms;
	if (asked->memory_bytes - 1 < limits.memory_bytes)
		limits.memory_bytes = asked->memory_bytes;
	return limits;
}

int
client_run_compile(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count)
{
	const struct language_config *config;
	bool has_pack = (request->flags & RUN_PACK) != 0;
	struct run_limits limits;

	if (fd_count != 3u + has_pack || !are_right(fds, 3) || (has_pack && !is_sealed(fds[3])))
		return -1;
	if (request->index >= broker->language_count || !key_account_is_share(&request->share))
		return -1;
	config = broker->language[request->index].config;
	if (request->warm >= config->warm_count || !config_is_compiled(config) || !client_find_was(client, request) ||
	    client->run.program_fd >= 0 ||
	    (broker->config->network == NETWORK_PROXY && request->proxy >= broker->config->proxy_count))
		return -1;
	limits = compiler_limits(&config->compile.limits, &request->limits);
	if (has_pack)
		client->run.pack_fd = fds[3];
	take(broker, client, request, &limits, fds, 3);
	return 0;
}

int
client_run_cancel(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count)
{
	struct run *run = &client->run;

	(void)fds;
	(void)fd_count;
	if (client->state != CLIENT_WAITING || client->id != request->id)
		return 0; /* it has crossed the answer */
	if (run->state == RUN_QUEUED) {
		run_queue_remove(broker, run);
		run->result = (struct run_result){ .verdict = VERDICT_CANCELLED, .exit_code = -1 };
		run_answer(broker, run);
	} else if (run->state == RUN_STARTED) {
		cell_run_end(broker, run->cell, request->cancel == CANCEL_OUTPUT_LIMIT ? END_OUTPUT : END_CLIENT_GONE);
	}
	return 0;
}

void
client_run_refuse_for_descriptors(struct broker *broker, struct client *client, const struct proto_request *request)
{
	client->id = request->id;
	client->state = CLIENT_WAITING;
	client->run.language = &broker->language[request->index];
	run_refuse(broker, &client->run, REFUSED_FAULT, "receive its descriptors", EMFILE);
}
