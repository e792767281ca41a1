/* relay_socket.c - see relay_socket.h. */
#define _GNU_SOURCE
#include "relay/relay_socket.h"

#include <sys/socket.h>
#include <unistd.h>

int
relay_socket_wait(struct poller *poller, struct relay_socket *socket, uint32_t events, watch_ready *ready)
{
	int result = 0;

	if (socket->fd < 0 || events == socket->events)
		return 0;
	if (events == 0)
		poller_release(poller, &socket->watch);
	else if (socket->events == 0)
		result = poller_add(poller, &socket->watch, socket->fd, events, ready);
	else
		result = poller_change(poller, &socket->watch, events);
	if (result == 0)
		socket->events = events;
	return result;
}

void
relay_socket_close(struct poller *poller, struct relay_socket *socket, bool is_abrupt)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (socket->fd < 0)
		return;
	if (socket->events != 0)
		poller_release(poller, &socket->watch);
	if (is_abrupt)
		setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(socket->fd);
	*socket = RELAY_SOCKET(-1);
}
