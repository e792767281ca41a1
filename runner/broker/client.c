/*
 * client.c - see client.h. Runs in the broker. A worker that breaks the protocol loses its
 * connection and its run.
 */
#define _GNU_SOURCE
#include "broker/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/compiler_id.h"
#include "broker/health.h"
#include "broker/language.h"
#include "broker/meter.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"

/*
 * Of a worker process, besides one for each request: its own, what is not closed yet, and those of
 * tests.
 */
#define SPARE_CONNECTIONS (4 + PROTO_MORE_CONNECTIONS)
#define REQUEST_FDS_MOST (RUN_FDS + 2) /* with the patterns of the files to collect, and the pack */
#define NEEDED_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

/*
 * One line of a kind in a second: a worker may do so as often as it likes, and that is not to fill
 * the disk.
 */
static void
log_disconnect(struct log_limit *limit, pid_t pid, const char *why)
{
	log_limit_warn(limit, "worker %ld %s, and was disconnected", (long)pid, why);
}

static void
reply_with(struct client *client, const struct proto_reply *message, const int *fds, size_t fd_count)
{
	if (fdpass_send(client->watch.fd, message, sizeof *message, fds, fd_count) == 0)
		return;
	/* It does not read its answers, or is gone. Closing comes as an event of its own. */
	shutdown(client->watch.fd, SHUT_RDWR);
}

static void
reply(struct client *client, const struct proto_reply *message)
{
	reply_with(client, message, NULL, 0);
}

/* ---- the end of the runner -------------------------------------------------------------------------------------- */

/*
 * After PROTO_FIND the next request belongs to the same run, so a connection that holds a program
 * is not told.
 */
static void
tell_moved(const struct broker *broker, struct client *client)
{
	const struct proto_reply moved = { .kind = PROTO_MOVED };

	if (broker->drain == DRAIN_MOVED && client->state == CLIENT_IDLE && client->run.program_fd < 0)
		reply(client, &moved);
}

void
client_tell_moved(struct broker *broker)
{
	struct client *client;

	LIST_FOREACH(client, &broker->clients, in_all)
		tell_moved(broker, client);
}

bool
client_has_work(const struct broker *broker)
{
	const struct client *client;

	LIST_FOREACH(client, &broker->clients, in_all) {
		if (client->state != CLIENT_IDLE)
			return true;
	}
	return false;
}

static void
refuse_directly(struct client *client, uint32_t id, enum refusal refusal)
{
	const struct proto_reply message = { .kind = PROTO_REFUSED, .id = id, .u.refused.refusal = refusal };

	reply(client, &message);
}

/* Refuse the requests that a connection has sent and nobody has read. */
static void
refuse_unread(struct client *client)
{
	struct proto_request request;
	int fds[REQUEST_FDS_MOST];
	size_t fd_count;

	while (fdpass_recv(client->watch.fd, &request, sizeof request, fds, REQUEST_FDS_MOST, &fd_count, NULL) ==
	    (ssize_t)sizeof request) {
		fdpass_close(fds, fd_count);
		if (request.kind == PROTO_RUN || request.kind == PROTO_COMPILE)
			refuse_directly(client, request.id, REFUSED_STOPPING);
	}
}

void
client_end_all(struct broker *broker)
{
	struct client *client;
	unsigned lost = 0;

	LIST_FOREACH(client, &broker->clients, in_all)
		shutdown(client->watch.fd, SHUT_RD);
	LIST_FOREACH(client, &broker->clients, in_all) {
		bool has_begun = client->state == CLIENT_WAITING && !client->run.is_compile;

		if (client->state == CLIENT_WAITING)
			refuse_directly(client, client->id, has_begun ? REFUSED_LOST : REFUSED_STOPPING);
		else
			refuse_unread(client);
		lost += has_begun;
	}
	if (lost > 0)
		log_warn("%u run(s) had begun and are lost", lost);
}

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
	reply_with(client, message, fds, fd_count);
	tell_moved(broker, client);
}

/* ---- answers to runs -------------------------------------------------------------------------------------------- */

static struct client *
client_of(struct run *run)
{
	return (struct client *)(void *)((char *)run - offsetof(struct client, run));
}

/* Keep a compilation's output for later runs, unless its compiler is unknown. */
static void
keep_output(struct broker *broker, const struct client *client)
{
	static const struct compile_key nothing;

	if (memcmp(client->key.compiler, nothing.compiler, sizeof nothing.compiler) != 0)
		compile_cache_keep(&broker->compile_cache, &client->key, client->account->share.name, client->run.program_fd);
}

static void
run_ended(struct broker *broker, struct run *run)
{
	struct client *client = client_of(run);
	struct proto_reply message = { .kind = PROTO_RESULT, .u.result = run->result };
	struct run_result *result = &message.u.result;

	if (run->is_compile && result->verdict == VERDICT_OK) {
		if (run->program_fd >= 0) {
			keep_output(broker, client);
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

	reply(client, &message);
}

static void
run_started(struct broker *broker, struct run *run, uint64_t queue_us, uint64_t spawn_us)
{
	(void)broker;
	if (!run->is_compile)
		tell_progress(client_of(run),
		    (struct proto_progress){ .progress = PROGRESS_STARTED, .queue_us = queue_us, .spawn_us = spawn_us });
}

static const struct run_owner owner = { .ended = run_ended, .refused = run_refused, .started = run_started };

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
 * Whether the request names the source that was last asked for: its output is kept under that key.
 */
static bool
was_looked_for(const struct client *client, const struct proto_request *request)
{
	return client->key.language == request->index && memcmp(client->key.digest, request->digest, sizeof request->digest) == 0;
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

static int
take_run(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
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

static int
take_compile(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	const struct language_config *config;
	bool has_pack = (request->flags & RUN_PACK) != 0;
	struct run_limits limits;

	if (fd_count != 3u + has_pack || !are_right(fds, 3) || (has_pack && !is_sealed(fds[3])))
		return -1;
	if (request->index >= broker->language_count || !key_account_is_share(&request->share))
		return -1;
	config = broker->language[request->index].config;
	if (request->warm >= config->warm_count || !config_is_compiled(config) || !was_looked_for(client, request) ||
	    client->run.program_fd >= 0 ||
	    (broker->config->network == NETWORK_PROXY && request->proxy >= broker->config->proxy_count))
		return -1;
	limits = compiler_limits(&config->compile.limits, &request->limits);
	if (has_pack)
		client->run.pack_fd = fds[3];
	take(broker, client, request, &limits, fds, 3);
	return 0;
}

/*
 * Count a request for a compiled program. One that is over the rate finds nothing, and its
 * PROTO_COMPILE is refused: PROTO_FIND itself has no refusal.
 */
static void
count_find(struct broker *broker, struct client *client, const struct run_share *share)
{
	uint64_t now_us = clock_us();
	struct key_account *account = key_account_hold(&broker->accounts, share, now_us);

	client->is_over_rate = account != NULL && !key_account_take(account, now_us);
	key_account_release(&broker->accounts, account, now_us);
}

/* The answer comes when the identity of the compiler is known: client_answer_finds. */
static int
take_find(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	struct language *language;

	(void)fds;
	(void)fd_count;
	if (request->index >= broker->language_count || !key_account_is_share(&request->share))
		return -1;
	language = &broker->language[request->index];
	if (!config_is_compiled(language->config))
		return -1;
	count_find(broker, client, &request->share);
	fdpass_close(&client->run.program_fd, 1);
	memset(&client->key, 0, sizeof client->key);
	client->key.language = request->index;
	memcpy(client->key.digest, request->digest, sizeof client->key.digest);
	client->state = CLIENT_FINDING;
	client->next_finding = language->compiler.asking;
	language->compiler.asking = client;
	language_touch(broker, language);
	loop_dispatch(&broker->loop);
	return 0;
}

/*
 * The program of this source that another connection holds. A request with many runs holds it so,
 * even where the cache does not. Returns a new descriptor, or -1.
 */
static int
find_held(const struct broker *broker, const struct client *client)
{
	static const struct compile_key nothing;
	const struct client *other;

	if (memcmp(client->key.compiler, nothing.compiler, sizeof nothing.compiler) == 0)
		return -1;
	LIST_FOREACH(other, &broker->clients, in_all) {
		if (other->state == CLIENT_IDLE && other->run.program_fd >= 0 &&
		    memcmp(&other->key, &client->key, sizeof client->key) == 0)
			return fcntl(other->run.program_fd, F_DUPFD_CLOEXEC, 0);
	}
	return -1;
}

void
client_answer_finds(struct broker *broker, struct language *language)
{
	bool can_know = language_is_awake(language);

	if (language->compiler.asking == NULL || (can_know && !compiler_id_is_known(language)))
		return;
	while (language->compiler.asking != NULL) {
		struct client *client = language->compiler.asking;
		struct proto_reply message = { .kind = PROTO_FIND };

		language->compiler.asking = client->next_finding;
		client->state = CLIENT_IDLE;
		if (can_know) {
			memcpy(client->key.compiler, language->compiler.file, sizeof client->key.compiler);
			if (!client->is_over_rate)
				client->run.program_fd = compile_cache_find(&broker->compile_cache, &client->key);
			if (!client->is_over_rate && client->run.program_fd < 0)
				client->run.program_fd = find_held(broker, client);
		}
		message.u.found = client->run.program_fd >= 0;
		meter_looked_for(broker, language, message.u.found != 0);
		reply(client, &message);
	}
}

static int
cancel(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
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

static int
answer_language(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
    size_t fd_count)
{
	struct proto_reply message = { .kind = PROTO_LANGUAGE };
	struct proto_language *answer = &message.u.language;

	(void)fds;
	(void)fd_count;
	if (request->index < broker->language_count) {
		struct language *language = &broker->language[request->index];

		language_look(broker, language);
		answer->available = language->state != LANGUAGE_MISSING && language->state != LANGUAGE_FAILING;
		answer->start = language->start;
		memcpy(answer->version, language->version, sizeof answer->version);
		memcpy(answer->reason, answer->available ? language->shortfall : language->reason, sizeof answer->reason);
	}
	reply(client, &message);
	return 0;
}

static int
answer_layer(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	struct proto_reply message = { .kind = PROTO_LAYER };

	(void)fds;
	(void)fd_count;
	if (request->index < broker->layers.count)
		message.u.layer = broker->layers.layer[request->index];
	reply(client, &message);
	return 0;
}

static int
answer_state(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	struct proto_reply message = { .kind = PROTO_STATE };

	(void)request;
	(void)fds;
	(void)fd_count;
	health_state(broker, &message.u.state);
	reply(client, &message);
	return 0;
}

static int
answer_metrics(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	const struct proto_reply message = { .kind = PROTO_METRICS };
	int fd = meter_collect(broker);

	(void)request;
	(void)fds;
	(void)fd_count;
	reply_with(client, &message, &fd, 1);
	return 0;
}

#define IN(state) (1u << (state))
#define IN_ANY (IN(CLIENT_IDLE) | IN(CLIENT_FINDING) | IN(CLIENT_WAITING))

/*
 * The requests that there are; any other costs a worker its connection. A handler that returns 0
 * has taken the descriptors; -1: the worker broke the protocol.
 */
static const struct request_kind {
	uint32_t kind;
	unsigned states;         /* of the connection, in which it may come */
	size_t fds_min, fds_max; /* that come with it */
	int (*handle)(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds,
	    size_t fd_count);
} kinds[] = {
	{ PROTO_RUN, IN(CLIENT_IDLE), 3, REQUEST_FDS_MOST, take_run },
	{ PROTO_FIND, IN(CLIENT_IDLE), 0, 0, take_find },
	{ PROTO_COMPILE, IN(CLIENT_IDLE), 3, 4, take_compile },
	{ PROTO_CANCEL, IN_ANY, 0, 0, cancel },
	{ PROTO_LANGUAGE, IN_ANY, 0, 0, answer_language },
	{ PROTO_LAYER, IN_ANY, 0, 0, answer_layer },
	{ PROTO_STATE, IN_ANY, 0, 0, answer_state },
	{ PROTO_METRICS, IN_ANY, 0, 0, answer_metrics },
};

/* Returns 0, or -1 if the worker broke the protocol. */
static int
take_request(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const struct request_kind *kind = &kinds[i];

		if (kind->kind != request->kind)
			continue;
		if ((kind->states & IN(client->state)) == 0 || fd_count < kind->fds_min || fd_count > kind->fds_max)
			return -1;
		return kind->handle(broker, client, request, fds, fd_count);
	}
	return -1;
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

static void
stop_finding(struct broker *broker, struct client *client)
{
	struct client **link = &broker->language[client->key.language].compiler.asking;

	while (*link != client)
		link = &(*link)->next_finding;
	*link = client->next_finding;
}

/* Count one more connection of a worker process. Returns NULL with errno if there is no memory. */
static struct worker_process *
join_worker(struct broker *broker, pid_t pid)
{
	struct worker_process *worker;

	LIST_FOREACH(worker, &broker->workers[(unsigned)pid % BROKER_WORKER_HASHES], in_hash) {
		if (worker->pid == pid)
			break;
	}
	if (worker == NULL && (worker = calloc(1, sizeof *worker)) != NULL) {
		worker->pid = pid;
		LIST_INSERT_HEAD(&broker->workers[(unsigned)pid % BROKER_WORKER_HASHES], worker, in_hash);
	}
	if (worker != NULL)
		worker->connections++;
	return worker;
}

/* One connection less. Does nothing for NULL. */
static void
leave_worker(struct worker_process *worker)
{
	if (worker == NULL || --worker->connections > 0)
		return;
	LIST_REMOVE(worker, in_hash);
	free(worker);
}

/* A worker that goes takes its run with it. */
static void
remove_client(struct broker *broker, struct client *client)
{
	struct run *run = &client->run;

	if (client->state == CLIENT_FINDING)
		stop_finding(broker, client);
	if (run->state == RUN_QUEUED)
		run_queue_remove(broker, run);
	if (run->cell != NULL)
		cell_run_drop(broker, run->cell);
	run_drop(broker, run);
	key_account_release(&broker->accounts, client->account, clock_us());
	LIST_REMOVE(client, in_all);
	loop_unwatch(&broker->loop, &client->watch);
	leave_worker(client->worker);
	free(client);
}

/*
 * A run came without its descriptors, because the broker had no number free for them. The worker
 * has done nothing wrong.
 */
static void
refuse_for_descriptors(struct broker *broker, struct client *client, const struct proto_request *request)
{
	client->id = request->id;
	client->state = CLIENT_WAITING;
	client->run.language = &broker->language[request->index];
	run_refuse(broker, &client->run, REFUSED_FAULT, "receive its descriptors", EMFILE);
}

static void
client_ready(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct client *client = watch_owner(watch, struct client, watch);
	struct proto_request request = { 0 };
	int fds[REQUEST_FDS_MOST];
	size_t fd_count;
	ssize_t n = fdpass_recv(watch->fd, &request, sizeof request, fds, REQUEST_FDS_MOST, &fd_count, NULL);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == (ssize_t)sizeof request && take_request(broker, client, &request, fds, fd_count) == 0)
		return;
	if (n < 0 && errno == EMFILE && client->state == CLIENT_IDLE && request.index < broker->language_count) {
		refuse_for_descriptors(broker, client, &request);
		return;
	}
	if (n > 0 || fd_count > 0 || (n < 0 && errno == EMSGSIZE))
		log_disconnect(&broker->protocol_broken, client->worker->pid, "broke the protocol");
	/* Also those of an empty message, which looks like the end of the connection. */
	fdpass_close(fds, fd_count);
	remove_client(broker, client);
}

void
client_add(struct broker *broker, int fd, pid_t pid)
{
	struct proto_reply welcome = { .kind = PROTO_WELCOME,
		.u.welcome = { .version = PROTO_VERSION,
		    .languages = (uint32_t)broker->language_count,
		    .config_digest = broker->config->digest,
		    .level = broker->config->level } };
	struct worker_process *worker = join_worker(broker, pid);
	struct client *client;

	if (worker != NULL && worker->connections > broker->config->requests + SPARE_CONNECTIONS) {
		log_disconnect(&broker->connected_too_often, pid, "connected too often");
		leave_worker(worker);
		close(fd);
		return;
	}
	client = calloc(1, sizeof *client);
	if (worker == NULL || client == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
	    loop_watch(&broker->loop, &client->watch, fd, client_ready) != 0) {
		log_warn("cannot take on a worker: %s", strerror(errno));
		leave_worker(worker);
		free(client);
		close(fd);
		return;
	}
	client->worker = worker;
	client->run.owner = &owner;
	client->run.program_fd = client->run.patterns_fd = client->run.pack_fd = client->run.files_fd = -1;
	client->run.extraction.fd = -1;
	LIST_INSERT_HEAD(&broker->clients, client, in_all);
	reply(client, &welcome);
}
