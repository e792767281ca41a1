/* cell_network.c - see cell_network.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/cell_network.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "fdpass.h"
#include "kernel/netns.h"
#include "log.h"
#include "policy.h"

static unsigned
grant_of(const struct cell *cell)
{
	return cell->pool % GRANT_COUNT;
}

bool
cell_network_has_proxy(const struct broker *broker, const struct cell *cell)
{
	return (grant_of(cell) & GRANT_NETWORK) != 0 && broker->config->network == NETWORK_PROXY;
}

static enum cell_network
kind_of(const struct broker *broker, const struct cell *cell)
{
	if (broker->config->level != LEVEL_NAMESPACES)
		return CELL_NETWORK_OF_ZYGOTE;
	if ((grant_of(cell) & GRANT_LOOPBACK) != 0)
		return CELL_NETWORK_LOOPBACK;
	if ((grant_of(cell) & GRANT_NETWORK) == 0)
		return CELL_NETWORK_EMPTY;
	if (broker->config->network != NETWORK_PROXY)
		return CELL_NETWORK_OF_ZYGOTE;
	return cell->net.relay_fd < 0 ? CELL_NETWORK_RELAY_NEW : CELL_NETWORK_RELAY;
}

bool
cell_network_is_own(const struct broker *broker, const struct cell *cell)
{
	return kind_of(broker, cell) != CELL_NETWORK_OF_ZYGOTE;
}

bool
cell_network_may_stay(const struct broker *broker, const struct cell *cell)
{
	enum cell_network kind = kind_of(broker, cell);

	return (kind == CELL_NETWORK_EMPTY || kind == CELL_NETWORK_RELAY) && !cell->net.has_sockets;
}

const char *
cell_network_prepare(struct broker *broker, struct cell *cell, uint32_t *network, int *fd)
{
	*network = kind_of(broker, cell);
	*fd = -1;
	/* A run that wants a network would have none. */
	if (cell_network_has_proxy(broker, cell) && broker->relay.fd < 0) {
		errno = ENOTCONN;
		return "reach the relay";
	}
	if (*network == CELL_NETWORK_EMPTY) {
		if (cell->net.empty_fd < 0 && (cell->net.empty_fd = netns_make_empty()) < 0)
			return "make its network namespace";
		*fd = cell->net.empty_fd;
	} else if (*network == CELL_NETWORK_RELAY) {
		*fd = cell->net.relay_fd;
	}
	return NULL;
}

static void
forget_relay_network(struct cell *cell)
{
	fdpass_close(&cell->net.relay_fd, 1);
	fdpass_close(&cell->net.listener_fd, 1);
}

int
cell_network_made(struct broker *broker, struct cell *cell, int fds[2])
{
	if (!cell_network_has_proxy(broker, cell) || kind_of(broker, cell) == CELL_NETWORK_OF_ZYGOTE) {
		fdpass_close(fds, 2);
		return -1;
	}
	forget_relay_network(cell);
	cell->net.relay_fd = fds[0];
	cell->net.listener_fd = fds[1];
	return 0;
}

int
cell_network_link(struct broker *broker, struct cell *cell)
{
	int pair[2], error;

	if (cell->net.link_fd >= 0)
		return 0;
	if (broker->relay.fd < 0) {
		errno = ENOTCONN;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return -1;
	if (fdpass_send(broker->relay.fd, "", 1, &pair[1], 1) != 0) {
		error = errno;
		fdpass_close(pair, 2);
		errno = error;
		return -1;
	}
	close(pair[1]);
	cell->net.link_fd = pair[0];
	return 0;
}

int
cell_network_socket(struct broker *broker, struct cell *cell)
{
	const struct relay_order order = { .kind = RELAY_LISTEN, .proxy = cell->proxy };

	/* Before the kernel makes the socket: what becomes of the caller does not matter. */
	cell->net.has_sockets = true;
	if (cell->is_returning) {
		cell_will_not_return(cell);
		loop_dispatch(&broker->loop); /* its pool may want another one */
	}
	if (cell->net.link_fd >= 0)
		return 0;
	if (cell_network_link(broker, cell) != 0 ||
	    fdpass_send(cell->net.link_fd, &order, sizeof order, &cell->net.listener_fd, 1) != 0) {
		log_warn("cell %u: have the relay serve it: %s", cell->number, strerror(errno));
		fdpass_close(&cell->net.link_fd, 1);
		return ENETDOWN;
	}
	return 0;
}

void
cell_network_suspect(struct cell *cell)
{
	if (cell->state < CELL_ENDING)
		cell->net.has_sockets = true;
	else
		forget_relay_network(cell);
}

void
cell_network_end(struct cell *cell)
{
	fdpass_close(&cell->net.link_fd, 1);
	if (!cell->net.has_sockets)
		return;
	cell->net.has_sockets = false;
	forget_relay_network(cell);
}

void
cell_network_relay_gone(struct broker *broker)
{
	for (uint32_t i = 0; i < broker->config->cells; i++)
		fdpass_close(&broker->cell[i].net.link_fd, 1);
}
