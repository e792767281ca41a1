/* client.c - see client.h. Runs in the broker. A worker that breaks the rules loses its connection and its run. */
#define _GNU_SOURCE
#include "broker/client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/cell.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"
#include "warden/first_tree.h"
#include "warden/warden.h"

#define CONNECTIONS_MAX 16       /* of one worker, which has use for one */
#define COMPLAINT_US 1000000u
#define NEEDED_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

static void client_gone(struct broker *broker, struct client *client);

/*
 * A worker broke the rules. One line of a kind in a second: it may do so as often as it likes, and that is not to fill the disk.
 */
static void
complain(struct log_limit *complaint, pid_t pid, const char *what)
{
	uint64_t now_us = clock_us();

	if (complaint->said_us != 0 && now_us < complaint->said_us + COMPLAINT_US) {
		complaint->unsaid++;
		return;
	}
	log_warn("worker %ld %s, and was disconnected (%llu times since this was last said, by any worker)", (long)pid, what,
	    (unsigned long long)complaint->unsaid + 1u);
	*complaint = (struct log_limit){ .said_us = now_us };
}

static void
reply(struct client *client, const struct proto_reply *message)
{
	if (fdpass_send(client->event.fd, message, sizeof *message, NULL, 0) == 0)
		return;
	/* It does not read its answers, or is gone. Closing comes as an event of its own. */
	shutdown(client->event.fd, SHUT_RDWR);
}

void
client_enqueue(struct broker *broker, struct client *client)
{
	client->state = CLIENT_QUEUED;
	client->next_queued = NULL;
	*broker->queue_tail = client;
	broker->queue_tail = &client->next_queued;
	broker->queued++;
	broker->language[client->request.index].pool[client->pool].queued++;
	broker_wake_at(broker, client->queued_us + broker->config->queue_ms * 1000);
}

void
client_dequeue(struct broker *broker, struct client *client)
{
	struct client **link = &broker->queue;

	while (*link != client)
		link = &(*link)->next_queued;
	*link = client->next_queued;
	if (broker->queue_tail == &client->next_queued)
		broker->queue_tail = link;
	broker->queued--;
	broker->language[client->request.index].pool[client->pool].queued--;
	client->state = CLIENT_IDLE;
}

static void
end_wait(struct client *client)
{
	fdpass_close(client->fds, client->fd_count);
	fdpass_close(&client->box_fd, 1);
	client->fd_count = 0;
	client->cell = NULL;
	client->state = CLIENT_IDLE;
}

void
client_result(struct client *client, const struct run_result *result)
{
	struct proto_reply message = { .kind = PROTO_RESULT, .id = client->request.id, .u.result = *result };

	/* What was compiled is for one run, even for one that was cancelled before it began. */
	if (client->request.kind == PROTO_RUN)
		fdpass_close(&client->compiled_fd, 1);
	end_wait(client);
	reply(client, &message);
}

void
client_refuse(struct client *client, enum refusal reason)
{
	struct proto_reply message = { .kind = PROTO_REFUSED, .id = client->request.id, .u.refusal = reason };

	fdpass_close(&client->compiled_fd, 1);
	end_wait(client);
	reply(client, &message);
}

/* Is each limit above zero and not above what this language allows? The worker has checked; we do not trust it. */
static bool
limits_allowed(const struct run_limits *asked, const struct run_limits *most)
{
	return asked->wall_ms - 1 < most->wall_ms && asked->cpu_ms - 1 < most->cpu_ms &&
	    asked->memory_bytes - 1 < most->memory_bytes && asked->processes - 1 < most->processes &&
	    asked->output_bytes - 1 < most->output_bytes && asked->disk_bytes - 1 < most->disk_bytes;
}

/* enum policy_grant. A compiler has no network. */
static unsigned
grant_of(const struct broker *broker, const struct proto_request *request)
{
	bool has_network = request->kind == PROTO_RUN && (request->flags & RUN_NETWORK) != 0 &&
	    broker->config->network != NETWORK_NONE;

	return (request->limits.processes > 1 ? GRANT_PROCESSES : 0u) | (has_network ? GRANT_NETWORK : 0u);
}

/* Is it the source that was last asked for? What is made of it is kept under that name. */
static bool
was_looked_for(const struct client *client, const struct proto_request *request)
{
	return client->key.language == request->index &&
	    memcmp(client->key.digest, request->digest, sizeof request->digest) == 0;
}

/* A sealed memfd: nobody can change what the guest reads, nor make the guest fill it and keep what it was charged for. */
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

/* Is each descriptor of a run what it has to be? The guest gets nothing else: no directory, no socket, no file of the host. */
static bool
are_right(const int *fds, size_t fd_count)
{
	return fd_count >= 3 && is_sealed(fds[0]) && is_pipe(fds[1]) && is_pipe(fds[2]) && (fd_count < 4 || is_sealed(fds[3]));
}

/* A run, or the compilation before it. Returns -1 if the worker broke the rules. */
static int
take_run(struct broker *broker, struct client *client, const struct proto_request *request, int *fds, size_t fd_count)
{
	struct language *language;
	const struct pool *pool;
	bool is_compile = request->kind == PROTO_COMPILE;

	if (client->state != CLIENT_IDLE || !are_right(fds, fd_count) || request->index >= broker->language_count)
		return -1;
	language = &broker->language[request->index];
	if (request->warm >= language->config->warm_count || (is_compile && fd_count != 3) ||
	    (is_compile && !config_is_compiled(language->config)) || (is_compile && !was_looked_for(client, request)) ||
	    (client->compiled_fd >= 0) != (!is_compile && config_is_compiled(language->config)) ||
	    (!is_compile && !limits_allowed(&request->limits, &language->config->limits.maximum)) ||
	    (broker->config->network == NETWORK_PROXY && request->proxy >= broker->config->proxy_count))
		return -1;
	client->request = *request;
	if (is_compile)
		client->request.limits = language->config->compile.limits;
	client->pool = language_pool(language, request->warm, request->flags, grant_of(broker, &client->request));
	pool = &language->pool[client->pool];
	memcpy(client->fds, fds, fd_count * sizeof *fds);
	client->fd_count = fd_count;
	client->queued_us = clock_us();
	if (language->is_missing)
		client_refuse(client, REFUSED_MISSING);
	else if (language->reason[0] != '\0' || layers_broken(&broker->layers) != NULL)
		client_refuse(client, REFUSED_UNAVAILABLE);
	else if (pool->failures > POOL_FAILURES_MOST && language_rests(pool))
		client_refuse(client, REFUSED_FAULT);
	else if (broker->queued >= broker->config->queue)
		client_refuse(client, REFUSED_BUSY);
	else {
		language_wake(broker, language, client->pool);
		client_enqueue(broker, client);
		broker_dispatch(broker);
	}
	return 0;
}

/* ---- what compilers make ---------------------------------------------------------------------------------------- */

/* A file of the language's root, as it is now: a new one has another inode. (A further hard link to it changes its ctime only.) */
static void
identify(struct language *language, const char *path, uint64_t *identity)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	struct stat st;
	int fd;

	/* At level chroot it was not there before the language was awake. */
	if (language->root_fd < 0)
		language->root_fd = openat(language->trees_fd, FIRST_TREE_NAME, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = (int)syscall(SYS_openat2, language->root_fd, path, &how, sizeof how);

	if (fd >= 0 && fstat(fd, &st) == 0) {
		identity[0] = st.st_dev;
		identity[1] = st.st_ino;
		identity[2] = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	}
	fdpass_close(&fd, 1);
}

/* Returns -1 if the worker broke the rules. */
static int
answer_find(struct broker *broker, struct client *client, const struct proto_request *request)
{
	struct proto_reply message = { .kind = PROTO_FIND };
	struct language *language;

	if (client->state != CLIENT_IDLE || request->index >= broker->language_count)
		return -1;
	language = &broker->language[request->index];
	if (!config_is_compiled(language->config))
		return -1;
	fdpass_close(&client->compiled_fd, 1);
	memset(&client->key, 0, sizeof client->key);
	client->key.language = request->index;
	memcpy(client->key.digest, request->digest, sizeof client->key.digest);
	if (!language->is_missing) {
		/* A command may be a shell that starts the compiler; what is asked for the version is the compiler's own. */
		identify(language, language->config->compile.command.item[0], client->key.compiler[0]);
		identify(language, language->config->version.item[0], client->key.compiler[1]);
		client->compiled_fd = compile_cache_find(&broker->compiled, &client->key);
	}
	message.u.found = client->compiled_fd >= 0;
	reply(client, &message);
	return 0;
}

void
client_collected(struct broker *broker, struct client *client, int fd)
{
	struct run_result result = client->result;

	if (fd >= 0) {
		client->compiled_fd = fd;
		compile_cache_keep(&broker->compiled, &client->key, fd);
	} else {
		/* It said that all went well, and made nothing that could be run. */
		result.verdict = VERDICT_COMPILE_ERROR;
		result.exit_code = -1;
	}
	client_result(client, &result);
}

/* The warden has it, or says why not. */
static void
collected(struct broker *broker, struct event *event, uint32_t events)
{
	struct client *client = event_owner(event, struct client, collected);
	struct guest_report report = { 0 };
	int fd = -1;
	size_t count = 0;
	ssize_t n = fdpass_recv(event->fd, &report, sizeof report, &fd, 1, &count, NULL);

	(void)events;
	event_close(broker, event);
	if (n != (ssize_t)sizeof report) {
		fdpass_close(&fd, 1);
		client_refuse(client, REFUSED_FAULT);
		return;
	}
	client_collected(broker, client, fd);
}

void
client_collect(struct broker *broker, struct client *client, const struct language *language)
{
	struct warden_request order = { .kind = WARDEN_COLLECT };
	int pair[2] = { -1, -1 }, fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
	    event_add(broker, &client->collected, pair[0], collected) != 0) {
		fdpass_close(pair, 2);
		client_refuse(client, REFUSED_FAULT);
		return;
	}
	fds[0] = pair[1];
	fds[1] = client->box_fd;
	if (language->warden.sock < 0 || fdpass_send(language->warden.sock, &order, sizeof order, fds, 2) != 0) {
		event_close(broker, &client->collected);
		client_refuse(client, REFUSED_FAULT);
	}
	close(pair[1]);
	fdpass_close(&client->box_fd, 1);
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

static void
cancel_run(struct broker *broker, struct client *client, const struct proto_request *request)
{
	static const struct run_result cancelled = { .verdict = VERDICT_CANCELLED, .exit_code = -1 };

	if (client->request.id != request->id)
		return;
	if (client->state == CLIENT_QUEUED) {
		client_dequeue(broker, client);
		client_result(client, &cancelled);
	} else if (client->state == CLIENT_RUNNING) {
		cell_end_run(broker, client->cell, request->cancel == CANCEL_OUTPUT_LIMIT ? END_OUTPUT : END_CLIENT_GONE);
	}
}

static void
answer_language(struct broker *broker, struct client *client, uint32_t index)
{
	struct proto_reply message = { .kind = PROTO_LANGUAGE };
	struct proto_language *answer = &message.u.language;

	if (index < broker->language_count) {
		const struct language *language = &broker->language[index];

		answer->available = language->reason[0] == '\0';
		answer->start = language->start;
		memcpy(answer->version, language->version, sizeof answer->version);
		memcpy(answer->reason, answer->available ? language->shortfall : language->reason, sizeof answer->reason);
	}
	reply(client, &message);
}

static void
answer_layer(struct broker *broker, struct client *client, uint32_t index)
{
	struct proto_reply message = { .kind = PROTO_LAYER };

	if (index < broker->layers.count)
		message.u.layer = broker->layers.layer[index];
	reply(client, &message);
}

static void
answer_state(struct broker *broker, struct client *client)
{
	struct proto_reply message = { .kind = PROTO_STATE };

	broker_state(broker, &message.u.state);
	reply(client, &message);
}

/* One message. Returns -1 if the worker broke the rules. Descriptors that come with a run are kept, others closed. */
static int
take_request(struct broker *broker, struct client *client, const struct proto_request *request, int *fds,
    size_t fd_count)
{
	if (request->kind == PROTO_RUN || request->kind == PROTO_COMPILE)
		return take_run(broker, client, request, fds, fd_count);
	if (fd_count != 0)
		return -1;
	switch (request->kind) {
	case PROTO_FIND:
		return answer_find(broker, client, request);
	case PROTO_CANCEL:
		cancel_run(broker, client, request);
		return 0;
	case PROTO_LANGUAGE:
		answer_language(broker, client, request->index);
		return 0;
	case PROTO_LAYER:
		answer_layer(broker, client, request->index);
		return 0;
	case PROTO_STATE:
		answer_state(broker, client);
		return 0;
	default:
		return -1;
	}
}

static void
client_ready(struct broker *broker, struct event *event, uint32_t events)
{
	struct client *client = event_owner(event, struct client, event);
	struct proto_request request;
	int fds[CLIENT_RUN_FDS];
	size_t fd_count;
	ssize_t n;

	(void)events;
	n = fdpass_recv(event->fd, &request, sizeof request, fds, CLIENT_RUN_FDS, &fd_count, NULL);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == (ssize_t)sizeof request && take_request(broker, client, &request, fds, fd_count) == 0)
		return;
	if (n > 0 || fd_count > 0 || (n < 0 && errno == EMSGSIZE))
		complain(&broker->protocol_broken, client->pid, "broke the protocol");
	/* Also those of an empty message, which looks like the end of the connection. */
	fdpass_close(fds, fd_count);
	client_gone(broker, client);
}

/* A worker that goes takes its run with it. */
static void
client_gone(struct broker *broker, struct client *client)
{
	struct client **link = &broker->clients;

	if (client->state == CLIENT_QUEUED)
		client_dequeue(broker, client);
	if (client->cell != NULL) {
		client->cell->client = NULL;
		cell_end_run(broker, client->cell, END_CLIENT_GONE);
	}
	end_wait(client);
	event_close(broker, &client->collected);
	fdpass_close(&client->compiled_fd, 1);
	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	event_close(broker, &client->event);
	/* The loop may have an event of it in hand. */
	client->next = broker->gone;
	broker->gone = client;
}

void
client_free_gone(struct broker *broker)
{
	while (broker->gone != NULL) {
		struct client *client = broker->gone;

		broker->gone = client->next;
		free(client);
	}
}

void
client_add(struct broker *broker, int fd, pid_t pid)
{
	struct client *client = calloc(1, sizeof *client);
	struct proto_reply welcome = { .kind = PROTO_WELCOME, .u.welcome = { .version = PROTO_VERSION,
		.languages = (uint32_t)broker->language_count, .config_digest = broker->config->digest,
		.level = broker->config->level } };

	unsigned already = 0;

	for (const struct client *other = broker->clients; other != NULL; other = other->next)
		already += other->pid == pid;
	if (already >= CONNECTIONS_MAX) {
		complain(&broker->connected_too_often, pid, "connected too often");
		free(client);
		close(fd);
		return;
	}
	if (client == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
	    event_add(broker, &client->event, fd, client_ready) != 0) {
		log_warn("cannot take on a worker: %s", strerror(errno));
		free(client);
		close(fd);
		return;
	}
	client->pid = pid;
	client->compiled_fd = client->box_fd = client->collected.fd = -1;
	client->next = broker->clients;
	broker->clients = client;
	reply(client, &welcome);
}
