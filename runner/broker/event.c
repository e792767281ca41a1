/* event.c - see event.h. */
#define _GNU_SOURCE
#include "broker/event.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "broker/broker.h"

int
event_add(struct broker *broker, struct event *event, int fd, void (*ready)(struct broker *, struct event *, uint32_t))
{
	struct epoll_event wanted = { .events = EPOLLIN, .data.ptr = event };

	if (epoll_ctl(broker->epoll_fd, EPOLL_CTL_ADD, fd, &wanted) != 0)
		return -1;
	event->fd = fd;
	event->ready = ready;
	return 0;
}

void
event_close(struct broker *broker, struct event *event)
{
	if (event->fd < 0)
		return;
	/* Closing would not do: where another process holds the same description, epoll would keep it. */
	epoll_ctl(broker->epoll_fd, EPOLL_CTL_DEL, event->fd, NULL);
	close(event->fd);
	event->fd = -1;
}
