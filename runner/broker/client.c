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
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell_run.h"
#include "broker/client_find.h"
#include "broker/client_reply.h"
#include "broker/client_run.h"
#include "broker/client_status.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"

/*
 * Of a worker process, besides one for each request: its own, what is not closed yet, and those of
 * tests.
 */
#define SPARE_CONNECTIONS (4 + PROTO_MORE_CONNECTIONS)
#define REQUEST_FDS_MOST (RUN_FDS + 2) /* with the patterns of the files to collect, and the pack */

/*
 * One line of a kind in a second: a worker may do so as often as it likes, and that is not to fill
 * the disk.
 */
static void
log_disconnect(struct log_limit *limit, pid_t pid, const char *why)
{
	log_limit_warn(limit, "worker %ld %s, and was disconnected", (long)pid, why);
}

/* ---- the end of the runner -------------------------------------------------------------------------------------- */

void
client_tell_moved(struct broker *broker)
{
	struct client *client;

	LIST_FOREACH(client, &broker->clients, in_all)
		client_reply_moved(broker, client);
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
			client_reply_refused(client, request.id, REFUSED_STOPPING);
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
			client_reply_refused(client, client->id, has_begun ? REFUSED_LOST : REFUSED_STOPPING);
		else
			refuse_unread(client);
		lost += has_begun;
	}
	if (lost > 0)
		log_warn("%u run(s) had begun and are lost", lost);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

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
	{ PROTO_RUN, IN(CLIENT_IDLE), 3, REQUEST_FDS_MOST, client_run_take },
	{ PROTO_FIND, IN(CLIENT_IDLE), 0, 0, client_find },
	{ PROTO_COMPILE, IN(CLIENT_IDLE), 3, 4, client_run_compile },
	{ PROTO_CANCEL, IN_ANY, 0, 0, client_run_cancel },
	{ PROTO_LANGUAGE, IN_ANY, 0, 0, client_status_language },
	{ PROTO_LAYER, IN_ANY, 0, 0, client_status_layer },
	{ PROTO_STATE, IN_ANY, 0, 0, client_status_state },
	{ PROTO_METRICS, IN_ANY, 0, 0, client_status_metrics },
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
		client_find_stop(broker, client);
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
		client_run_refuse_for_descriptors(broker, client, &request);
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
	client->run.owner = &client_run_owner;
	client->run.program_fd = client->run.patterns_fd = client->run.pack_fd = client->run.files_fd = -1;
	client->run.extraction.fd = -1;
	LIST_INSERT_HEAD(&broker->clients, client, in_all);
	client_reply(client, &welcome);
}
