/* keep.c - see keep.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/reaper_link.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/cell.h"
#include "broker/client.h"
#include "fdpass.h"
#include "warden/reaper.h"
#include "log.h"
#include "messages.h"

#define MEASURE_LIMIT_MS 1000

static void
tell(const struct cell *cell, enum reaper_request_kind kind, uint64_t disk_bytes)
{
	struct reaper_request order = { .kind = kind, .disk_bytes = disk_bytes };

	/* One that is gone is an event of its own. */
	if (cell->init.fd >= 0)
		fdpass_send(cell->init.fd, &order, sizeof order, NULL, 0);
}

bool
reaper_link_is_left(const struct broker *broker, const struct cell *cell)
{
	return reaper_is_left(broker->config->first_uid + 1 + cell->number);
}

/* Ended as it should, or died. Only if nothing of the cell's uid is left is the cell free. */
static void
reaper_gone(struct broker *broker, struct cell *cell)
{
	event_close(broker, &cell->init);
	if (reaper_link_is_left(broker, cell)) {
		log_warn("cell %u: its keeper died; it is given another, which ends it", cell->number);
		reaper_link_again(broker, cell);
	} else if (cell->state == CELL_ENDING) {
		cell_is_gone(broker, cell);
	} else if (cell->state == CELL_ARMING) {
		cell_arming_failed(broker, cell, "its keeper ended", 0);
	}
}

static void
reaper_ready(struct broker *broker, struct event *event, uint32_t events)
{
	struct cell *cell = event_owner(event, struct cell, init);
	struct reaper_report report = { 0 };
	struct client *client = cell->client;
	int fd = -1;
	size_t count = 0;
	ssize_t n = fdpass_recv(event->fd, &report, sizeof report, &fd, 1, &count, NULL);

	(void)events;
	if (n != (ssize_t)sizeof report) {
		reaper_gone(broker, cell);
	} else if (report.kind == REAPER_WATCH) {
		cell_end_run(broker, cell, END_DISK);
	} else if (report.kind == REAPER_COLLECT && client != NULL && client->state == CLIENT_COLLECTING) {
		cell->client = NULL;
		client_collected(broker, client, fd);
		fd = -1;
	}
	fdpass_close(&fd, 1);
}

/* The lowest one that no other cell of the language uses. There are as many trees as there were ever cells at one time. */
static uint32_t
free_tree(const struct broker *broker, const struct cell *cell)
{
	uint32_t tree = 0;

	for (uint32_t i = 0; i < broker->config->cells; i++) {
		const struct cell *other = &broker->cell[i];

		if (other == cell || other->state == CELL_FREE || other->language != cell->language || other->tree != tree)
			continue;
		tree++;
		i = (uint32_t)-1; /* once more from the start */
	}
	return tree;
}

static int
connect_reaper(struct broker *broker, struct cell *cell, int *reaper_fd)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	if (event_add(broker, &cell->init, pair[0], reaper_ready) != 0) {
		fdpass_close(pair, 2);
		return -1;
	}
	*reaper_fd = pair[1];
	return 0;
}

int
reaper_link_begin(struct broker *broker, struct cell *cell, int *reaper_fd)
{
	cell->tree = free_tree(broker, cell);
	return connect_reaper(broker, cell, reaper_fd);
}

void
reaper_link_watch(const struct cell *cell)
{
	tell(cell, REAPER_WATCH, cell->limits.disk_bytes);
}

bool
reaper_link_is_full(const struct cell *cell)
{
	struct pollfd answer = { .fd = cell->init.fd, .events = POLLIN };
	struct reaper_report report;
	size_t count;

	if (cell->init.fd < 0)
		return false;
	tell(cell, REAPER_MEASURE, cell->limits.disk_bytes);
	return poll(&answer, 1, MEASURE_LIMIT_MS) == 1 &&
	    fdpass_recv(cell->init.fd, &report, sizeof report, NULL, 0, &count, NULL) == (ssize_t)sizeof report &&
	    report.is_full != 0;
}

void
reaper_link_end(const struct cell *cell)
{
	bool is_awaited = cell->client != NULL && cell->client->state == CLIENT_COLLECTING;

	tell(cell, is_awaited ? REAPER_COLLECT : REAPER_END, 0);
}

void
reaper_link_again(struct broker *broker, struct cell *cell)
{
	struct warden_request order = { .kind = WARDEN_KEEP, .cell = cell->number, .tree = cell->tree };
	int reaper_fd = -1;

	if (cell->language->warden.sock < 0 || connect_reaper(broker, cell, &reaper_fd) != 0) {
		cell_is_left(broker, cell);
		return;
	}
	fdpass_send(cell->language->warden.sock, &order, sizeof order, &reaper_fd, 1);
	close(reaper_fd);
	cell_is_left(broker, cell);
	tell(cell, REAPER_END, 0);
}
