/* poller.c - see poller.h. */
#define _GNU_SOURCE
#include "kernel/poller.h"

#include <errno.h>
#include <unistd.h>

int
poller_open(struct poller *poller)
{
	poller->next = poller->count = 0;
	poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return poller->epoll_fd < 0 ? -1 : 0;
}

int
poller_add(struct poller *poller, struct watch *watch, int fd, uint32_t events, watch_ready *ready)
{
	struct epoll_event wanted = { .events = events, .data.ptr = watch };

	if (epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &wanted) != 0)
		return -1;
	watch->fd = fd;
	watch->ready = ready;
	return 0;
}

int
poller_change(struct poller *poller, struct watch *watch, uint32_t events)
{
	struct epoll_event wanted = { .events = events, .data.ptr = watch };

	return epoll_ctl(poller->epoll_fd, EPOLL_CTL_MOD, watch->fd, &wanted);
}

int
poller_release(struct poller *poller, struct watch *watch)
{
	int fd = watch->fd;

	/*
	 * close(2) alone would not do: epoll keeps an open file description that another process
	 * holds, too.
	 */
	epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	watch->fd = -1;
	for (int i = poller->next; i < poller->count; i++) {
		if (poller->batch[i].data.ptr == watch)
			poller->batch[i].data.ptr = NULL;
	}
	return fd;
}

void
poller_close(struct poller *poller, struct watch *watch)
{
	if (watch->fd >= 0)
		close(poller_release(poller, watch));
}

int
poller_turn(struct poller *poller, int timeout_ms, void *context)
{
	int count = epoll_wait(poller->epoll_fd, poller->batch, POLLER_BATCH, timeout_ms);

	if (count < 0)
		return errno == EINTR ? 0 : -1;
	poller->count = count;
	for (poller->next = 0; poller->next < poller->count;) {
		const struct epoll_event *event = &poller->batch[poller->next++];
		struct watch *watch = event->data.ptr;

		if (watch != NULL)
			watch->ready(context, watch, event->events);
	}
	poller->next = poller->count = 0;
	return 0;
}
