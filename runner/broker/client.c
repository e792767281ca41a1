/*
 * client.c - see client.h. Runs in the broker. A worker that breaks the protocol loses its
 * connection and its run.
 */
#define _GNU_SOURCE
#include "broker/client.h"

#include <errno.h>
#include <fcntl.h>
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
#include "clock.h"
#include "fdpass.h"
#include "log.h"

#define CONNECTIONS_MAX 160 /* of one worker, which has one for each of at most 64 threads, and two for a moment */
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
reply(struct client *client, const struct proto_reply *message)
{
	if (fdpass_send(client->watch.fd, message, sizeof *message, NULL, 0) == 0)
		return;
	/* It does not read its answers, or is gone. Closing comes as an event of its own. */
	shutdown(client->watch.fd, SHUT_RDWR);
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
		compile_cache_keep(&broker->compile_cache, &client->key, client->run.program_fd);
}

static void
run_ended(struct broker *broker, struct run *run)
{
	struct client *client = client_of(run);
	struct proto_reply message = { .kind = PROTO_RESULT, .id = client->id, .u.result = run->result };
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
	client->state = CLIENT_IDLE;
	reply(client, &message);
}

static void
run_refused(struct broker *broker, struct run *run, enum refusal refusal)
{
	struct client *client = client_of(run);
	struct proto_reply message = { .kind = PROTO_REFUSED, .id = client->id, .u.refused.refusal = refusal };

	(void)broker;
	client->state = CLIENT_IDLE;
	reply(client, &message);
}

static const struct run_owner owner = { .ended = run_ended, .refused = run_refused };

/* ---- runs ------------------------------------------------------------------------------------------------------- */

/* The grant (enum policy_grant) of a run or a compilation. A compiler has no network. */
static unsigned
grant_of(const struct broker *broker, const struct proto_request *request, uint64_t processes)
{
	bool has_network = request->kind == PROTO_RUN && (request->flags & RUN_NETWORK) != 0 &&
	    broker->config->network != NETWORK_NONE;

	return (processes > 1 ? GRANT_PROCESSES : 0u) | (has_network ? GRANT_NETWORK : 0u);
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
	return is_sealed(fds[0]) && is_pipe(fds[1]) && is_pipe(fds[2]) && (fd_count < 4 || is_sealed(fds[3]));
}

/* Queue the run of a client, or refuse it, if it is known already that it cannot be carried out. */
static void
queue_or_refuse(struct broker *broker, struct run *run)
{
	struct language *language = run->language;
	const struct pool *pool = &language->pool[run->pool];

	if (language->state == LANGUAGE_MISSING)
		run_refuse(broker, run, REFUSED_MISSING, language->reason, 0);
	else if (layers_broken(&broker->layers) != NULL)
		run_refuse(broker, run, REFUSED_UNAVAILABLE, "a required layer is not in force", 0);
	else if (language->state == LANGUAGE_FAILING)
		run_refuse(broker, run, REFUSED_UNAVAILABLE, language->reason, 0);
	else if (pool_is_broken(pool) && pool_backs_off(pool) && pool->armed == NULL)
		run_refuse(broker, run, REFUSED_FAULT, broker->trouble, 0);
	else if (broker->queue.count >= broker->config->queue)
		run_refuse(broker, run, REFUSED_BUSY, "the queue is full", 0);
	else {
		language_wake(broker, language, run->pool);
		run_queue_add(broker, run);
	}
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
	run->pool = language_pool(run->language, request->warm, request->flags, grant_of(broker, request, limits->processes));
	memcpy(run->fds, fds, fd_count * sizeof *fds);
	run->fd_count = fd_count;
	queue_or_refuse(broker, run);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static int
take_run(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	const struct language_config *config;

	if (request->index >= broker->language_count || !are_right(fds, fd_count))
		return -1;
	config = broker->language[request->index].config;
	/* The worker has checked the limits; it is not trusted. */
	if (request->warm >= config->warm_count || (client->run.program_fd >= 0) != config_is_compiled(config) ||
	    !run_limits_within(&request->limits, &config->limits.maximum) ||
	    (broker->config->network == NETWORK_PROXY && request->proxy >= broker->config->proxy_count))
		return -1;
	take(broker, client, request, &request->limits, fds, fd_count);
	return 0;
}

static int
take_compile(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	const struct language_config *config;

	if (request->index >= broker->language_count || !are_right(fds, fd_count))
		return -1;
	config = broker->language[request->index].config;
	if (request->warm >= config->warm_count || !config_is_compiled(config) || !was_looked_for(client, request) ||
	    client->run.program_fd >= 0 ||
	    (broker->config->network == NETWORK_PROXY && request->proxy >= broker->config->proxy_count))
		return -1;
	take(broker, client, request, &config->compile.limits, fds, fd_count);
	return 0;
}

/* The answer comes when the identity of the compiler is known: client_answer_finds. */
static int
take_find(struct broker *broker, struct client *client, const struct proto_request *request, const int *fds, size_t fd_count)
{
	struct language *language;

	(void)fds;
	(void)fd_count;
	if (request->index >= broker->language_count)
		return -1;
	language = &broker->language[request->index];
	if (!config_is_compiled(language->config))
		return -1;
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
			client->run.program_fd = compile_cache_find(&broker->compile_cache, &client->key);
		}
		message.u.found = client->run.program_fd >= 0;
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
		const struct language *language = &broker->language[request->index];

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
	{ PROTO_RUN, IN(CLIENT_IDLE), 3, RUN_FDS, take_run },
	{ PROTO_FIND, IN(CLIENT_IDLE), 0, 0, take_find },
	{ PROTO_COMPILE, IN(CLIENT_IDLE), 3, 3, take_compile },
	{ PROTO_CANCEL, IN_ANY, 0, 0, cancel },
	{ PROTO_LANGUAGE, IN_ANY, 0, 0, answer_language },
	{ PROTO_LAYER, IN_ANY, 0, 0, answer_layer },
	{ PROTO_STATE, IN_ANY, 0, 0, answer_state },
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

/* A worker that goes takes its run with it. */
static void
remove_client(struct broker *broker, struct client *client)
{
	struct client **link = &broker->clients;
	struct run *run = &client->run;

	if (client->state == CLIENT_FINDING)
		stop_finding(broker, client);
	if (run->state == RUN_QUEUED)
		run_queue_remove(broker, run);
	if (run->cell != NULL)
		cell_run_drop(broker, run->cell);
	run_drop(broker, run);
	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	loop_unwatch(&broker->loop, &client->watch);
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
	int fds[RUN_FDS];
	size_t fd_count;
	ssize_t n = fdpass_recv(watch->fd, &request, sizeof request, fds, RUN_FDS, &fd_count, NULL);

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
		log_disconnect(&broker->protocol_broken, client->pid, "broke the protocol");
	/* Also those of an empty message, which looks like the end of the connection. */
	fdpass_close(fds, fd_count);
	remove_client(broker, client);
}

/* Whether one worker has as many connections as it may have. */
static bool
has_too_many(const struct broker *broker, pid_t pid)
{
	unsigned count = 0;

	for (const struct client *client = broker->clients; client != NULL; client = client->next)
		count += client->pid == pid;
	return count >= CONNECTIONS_MAX;
}

void
client_add(struct broker *broker, int fd, pid_t pid)
{
	struct proto_reply welcome = { .kind = PROTO_WELCOME,
		.u.welcome = { .version = PROTO_VERSION,
		    .languages = (uint32_t)broker->language_count,
		    .config_digest = broker->config->digest,
		    .level = broker->config->level } };
	struct client *client;

	if (has_too_many(broker, pid)) {
		log_disconnect(&broker->connected_too_often, pid, "connected too often");
		close(fd);
		return;
	}
	client = calloc(1, sizeof *client);
	if (client == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
	    loop_watch(&broker->loop, &client->watch, fd, client_ready) != 0) {
		log_warn("cannot take on a worker: %s", strerror(errno));
		free(client);
		close(fd);
		return;
	}
	client->pid = pid;
	client->run.owner = &owner;
	client->run.program_fd = client->run.extraction.fd = -1;
	client->next = broker->clients;
	broker->clients = client;
	reply(client, &welcome);
}
