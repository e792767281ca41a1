/* denied.c - see denied.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/seccomp_notify.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define ANSWERED_AT_ONCE 256u /* of a run; later ones wait */
#define HOLD_US 1000u             /* from one batch of these to the next */
#define HELD_BATCH 8u

/* A zygote's listener. It outlives the zygote by its last guest. */
struct listener {
	struct event event;
};

static void
answer(int fd, uint64_t id)
{
	struct seccomp_notif_resp response = { .id = id, .error = -EPERM };

	/* The caller may be dead by now. */
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* The cell of a thread: that of its session, which a guest begins and its children stay in, unless they begin their own. */
static struct cell *
find_cell(struct broker *broker, pid_t thread)
{
	pid_t session = getsid(thread);

	for (uint32_t i = 0; session > 0 && i < broker->config->cells; i++) {
		if (broker->cell[i].guest_pid == session)
			return &broker->cell[i];
	}
	return NULL;
}

static void
count(struct denied_calls *denied, uint32_t call)
{
	denied->total++;
	for (size_t i = 0; i < DENIED_CALLS; i++) {
		struct denied_call *one = &denied->call[i];

		if (one->count > 0 && one->number != call)
			continue;
		one->number = call;
		one->count++;
		return;
	}
}

/* Have an answer wait. There is room for all that a flood of one run can have waiting; else it is given now. */
static void
hold(struct broker *broker, int fd, uint64_t id)
{
	if (broker->held_count == BROKER_HELD) {
		answer(fd, id);
		return;
	}
	if (broker->held_count == 0)
		broker->held_until_us = clock_us() + HOLD_US;
	broker->held[broker->held_count++] = (struct held_answer){ .fd = fd, .id = id };
	broker_wake_at(broker, broker->held_until_us);
}

static void
let_go(struct broker *broker, struct listener *listener)
{
	size_t kept = 0;

	for (size_t i = 0; i < broker->held_count; i++) {
		if (broker->held[i].fd != listener->event.fd)
			broker->held[kept++] = broker->held[i];
	}
	broker->held_count = kept;
	event_close(broker, &listener->event);
	free(listener);
}

static void
notified(struct broker *broker, struct event *event, uint32_t events)
{
	struct listener *listener = event_owner(event, struct listener, event);
	struct seccomp_notif request;
	struct cell *cell;

	if ((events & EPOLLIN) == 0) {
		/* Nobody is left whom it could be about. */
		let_go(broker, listener);
		return;
	}
	memset(&request, 0, sizeof request);
	if (ioctl(event->fd, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) {
		/* The caller has died. All else says that this is no listener, and would be said for ever. */
		if (errno != ENOENT && errno != EINTR)
			let_go(broker, listener);
		return;
	}
	cell = find_cell(broker, (pid_t)request.pid);
	if (cell != NULL)
		count(&cell->denied, (uint32_t)request.data.nr);
	if (cell != NULL && cell->denied.total > ANSWERED_AT_ONCE)
		hold(broker, event->fd, request.id);
	else
		answer(event->fd, request.id);
}

void
seccomp_notify_listen(struct broker *broker, int fd)
{
	struct listener *listener = calloc(1, sizeof *listener);

	if (listener == NULL || event_add(broker, &listener->event, fd, notified) != 0) {
		/* Without a listener the kernel refuses by itself, with ENOSYS. */
		log_warn("refused calls of a zygote's guests cannot be heard of: %s", strerror(errno));
		free(listener);
		close(fd);
	}
}

uint64_t
seccomp_notify_keep_time(struct broker *broker, uint64_t now_us)
{
	size_t batch;

	if (broker->held_count == 0)
		return UINT64_MAX;
	if (now_us < broker->held_until_us)
		return broker->held_until_us;
	batch = broker->held_count < HELD_BATCH ? broker->held_count : HELD_BATCH;
	for (size_t i = 0; i < batch; i++)
		answer(broker->held[i].fd, broker->held[i].id);
	broker->held_count -= batch;
	memmove(broker->held, broker->held + batch, broker->held_count * sizeof broker->held[0]);
	broker->held_until_us = now_us + HOLD_US;
	return broker->held_count > 0 ? broker->held_until_us : UINT64_MAX;
}
