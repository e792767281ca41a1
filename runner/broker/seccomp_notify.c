/* seccomp_notify.c - see seccomp_notify.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/seccomp_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_run.h"
#include "broker/handed_socket.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "clock.h"
#include "kernel/pidfd_ns.h"
#include "log.h"
#include "policy.h"

#define ANSWERED_AT_ONCE 256u    /* of a run, before the answers to more calls wait, ... */
#define ANSWERED_EVERY_US 10000u /* ... and one more in each such time */
#define HOLD_US 1000u            /* from one batch of held answers to the next */
#define HELD_BATCH 8u
#define HELD_RESUME (SECCOMP_NOTIFY_HELD - 8 * HELD_BATCH) /* with so many left, more calls are received */
#define STATUS_BYTES 1024                                  /* of /proc/PID/status, with its uids */
#define NETLINK_SOCKETS 32u    /* that a run may make: the kernel queues some 0.2 MB for each, which no control group counts */
#define PIDFD_OF_THREAD O_EXCL /* PIDFD_THREAD of newer headers, Linux 6.9 */

/* A zygote's listener. It outlives the zygote until its last guest has ended. */
struct listener {
	struct watch watch;
	const struct policy *policy; /* of its guests; it stays as long as the broker */
	bool has_proxy;              /* its guests have a network by a proxy */
	bool is_paused;
	LIST_ENTRY(listener) in_paused;
};

/*
 * `error` 0: the kernel makes the call. That is only for calls without a pointer among their
 * arguments, of which nothing can change any more.
 */
static void
answer(int fd, uint64_t id, int error)
{
	struct seccomp_notif_resp response = { .id = id,
		.error = -error,
		.flags = error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0 };

	/* The caller may be dead by now. */
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* The inode of the pid namespace of a process or thread; 0 where the kernel does not tell. */
static uint64_t
pid_ns_of(int pidfd)
{
	int fd = pidfd < 0 ? -1 : pidfd_ns_open(pidfd, NAMESPACE_PID);
	struct stat st;
	uint64_t inode = fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;

	if (fd >= 0)
		close(fd);
	return inode;
}

/* The cell of a thread by its pid namespace, for a process that has begun a session of its own. */
static struct cell *
find_by_namespace(struct broker *broker, pid_t thread)
{
	int pidfd = (int)syscall(SYS_pidfd_open, thread, PIDFD_OF_THREAD);
	uint64_t wanted = pid_ns_of(pidfd);

	if (pidfd >= 0)
		close(pidfd);
	for (uint32_t i = 0; wanted != 0 && i < broker->config->cells; i++) {
		struct cell *cell = &broker->cell[i];

		if (cell->init_fd < 0 || cell->state < CELL_ARMED)
			continue;
		if (cell->pid_ns == 0)
			cell->pid_ns = pid_ns_of(cell->init_fd);
		if (cell->pid_ns == wanted)
			return cell;
	}
	return NULL;
}

/*
 * The cell of a thread by its uid, which only processes of the cell have. At level chroot, where
 * the broker sees /proc.
 */
static struct cell *
find_by_uid(struct broker *broker, pid_t thread)
{
	char name[32], text[STATUS_BYTES];
	const char *line;
	ssize_t n;
	int fd;

	snprintf(name, sizeof name, "%d/status", (int)thread);
	fd = openat(broker->proc_fd, name, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	line = strstr(text, "\nUid:\t");
	for (uint32_t i = 0; line != NULL && i < broker->config->cells; i++) {
		struct cell *cell = &broker->cell[i];

		if (cell->state >= CELL_ARMED &&
		    strtoul(line + strlen("\nUid:\t"), NULL, 10) == broker->isolation->uid(broker->config, cell))
			return cell;
	}
	return NULL;
}

/*
 * The cell of a thread. A guest begins a session, and its children stay in it unless they begin
 * their own.
 */
static struct cell *
find_cell(struct broker *broker, pid_t thread)
{
	pid_t session = getsid(thread);

	for (uint32_t i = 0; session > 0 && i < broker->config->cells; i++) {
		if (broker->cell[i].guest_pid == session)
			return &broker->cell[i];
	}
	return broker->proc_fd >= 0 ? find_by_uid(broker, thread) : find_by_namespace(broker, thread);
}

/* Count a call, and make it the last of the list. In a full list it counts in the total only. */
static void
count(struct denied_calls *denied, uint32_t call)
{
	struct denied_call last = { .number = call, .count = 1 };
	size_t at = 0, end;

	denied->total++;
	while (at < DENIED_CALLS && denied->call[at].count > 0 && denied->call[at].number != call)
		at++;
	if (at == DENIED_CALLS)
		return;
	last.count += denied->call[at].count;
	for (end = at + 1; end < DENIED_CALLS && denied->call[end].count > 0; end++)
		denied->call[end - 1] = denied->call[end];
	denied->call[end - 1] = last;
}

/*
 * Whether a call of a run is one of a flood. Each call takes `every_us` of an allowance, which time
 * gives back. *until_us: when the whole allowance is there again.
 */
static bool
is_flood(uint64_t *until_us, uint32_t at_once, uint32_t every_us)
{
	uint64_t now_us = clock_us();

	if (*until_us < now_us)
		*until_us = now_us;
	if (*until_us - now_us >= (uint64_t)at_once * every_us)
		return true;
	*until_us += every_us;
	return false;
}

/*
 * Whether a call that the policy asks about may be made. They all look at network interfaces, and
 * their arguments that matter are in registers, which no other thread can change.
 */
static bool
may_look(const struct broker *broker, struct cell *cell, int call)
{
	if (cell == NULL || !cell_network_is_own(broker, cell))
		return false;
	return call != SYS_socket || cell->netlink_sockets++ < NETLINK_SOCKETS;
}

/*
 * Whether a denied call is worth a line in the reply. With a network libc looks at the interfaces
 * before it looks up a name, and goes on without.
 */
static bool
is_told(const struct cell *cell, bool is_look)
{
	return cell != NULL && !(is_look && (cell->pool % GRANT_COUNT & GRANT_NETWORK) != 0);
}

/* Hold an answer back. There is room for it: notified looks first. */
static void
hold(struct broker *broker, int fd, uint64_t id, int error)
{
	struct seccomp_notify *notify = &broker->notify;

	if (notify->held_count == 0)
		notify->held_until_us = clock_us() + HOLD_US;
	notify->held[notify->held_count++] = (struct held_answer){ .fd = fd, .id = id, .error = error };
	loop_wake_at(&broker->loop, notify->held_until_us);
}

/* Leave the calls in the kernel until some answers were sent. */
static void
pause_listener(struct broker *broker, struct listener *listener)
{
	if (listener->is_paused || poller_change(&broker->loop.poller, &listener->watch, 0) != 0)
		return;
	listener->is_paused = true;
	LIST_INSERT_HEAD(&broker->notify.paused, listener, in_paused);
}

static void
resume_listeners(struct broker *broker)
{
	struct listener *listener, *next;

	for (listener = LIST_FIRST(&broker->notify.paused); listener != NULL; listener = next) {
		next = LIST_NEXT(listener, in_paused);
		if (poller_change(&broker->loop.poller, &listener->watch, EPOLLIN) != 0)
			continue;
		listener->is_paused = false;
		LIST_REMOVE(listener, in_paused);
	}
}

static void
close_listener(struct broker *broker, struct listener *listener)
{
	struct seccomp_notify *notify = &broker->notify;
	size_t kept = 0;

	for (size_t i = 0; i < notify->held_count; i++) {
		if (notify->held[i].fd != listener->watch.fd)
			notify->held[kept++] = notify->held[i];
	}
	notify->held_count = kept;
	if (listener->is_paused)
		LIST_REMOVE(listener, in_paused);
	/* There is room now for what others have in the kernel. */
	if (!LIST_EMPTY(&notify->paused))
		loop_wake_at(&broker->loop, 0);
	handed_socket_forget_listener(broker, listener->watch.fd);
	loop_unwatch(&broker->loop, &listener->watch);
	free(listener);
}

/*
 * A program that has a network makes a socket. What has come into force for that comes before the
 * answer, which a flood has to wait for.
 */
static void
decide_socket(struct broker *broker, int fd, struct cell *cell, const struct seccomp_notif *request)
{
	const struct isolation *isolation = broker->isolation;
	bool waits = cell == NULL ||
	    is_flood(&cell->asked_until_us, isolation->sockets_at_once, 1000000u / isolation->sockets_in_second);
	int error = isolation->make_socket(broker, cell,
	    &(struct asked_socket){ .notify_fd = fd,
	        .id = request->id,
	        .domain = (int)request->data.args[0],
	        .type = (int)request->data.args[1],
	        .is_one_too_many = waits });

	if (error == SOCKET_IS_ANSWERED)
		return;
	if (waits)
		hold(broker, fd, request->id, error);
	else
		answer(fd, request->id, error);
}

/*
 * A call that is denied, or one that looks at the network interfaces and may be made. The latter is
 * about a namespace that no other cell is in.
 */
static void
decide_other(struct broker *broker, struct listener *listener, struct cell *cell, const struct seccomp_notif *request,
    bool is_look)
{
	int fd = listener->watch.fd, call = request->data.nr, error = 0;
	uint64_t args[RULE_ARGS];

	memcpy(args, request->data.args, sizeof args);
	if (!is_look || !may_look(broker, cell, call)) {
		error = policy_denial_error(listener->policy, call, args);
		if (is_told(cell, is_look))
			count(&cell->denied, (uint32_t)call);
	}
	if (cell == NULL || is_flood(&cell->denied_until_us, ANSWERED_AT_ONCE, ANSWERED_EVERY_US))
		hold(broker, fd, request->id, error);
	else
		answer(fd, request->id, error);
}

/*
 * A driver ends its program. The kernel makes the call in any case. But a program could make it
 * again and again, from handlers of signals and from processes that it starts.
 */
static void
decide_end(struct broker *broker, int fd, struct cell *cell, const struct seccomp_notif *request)
{
	bool is_answered = cell != NULL && (pid_t)request->pid == cell->guest_pid &&
	    cell_run_announced(broker, cell, (int)request->data.args[0], request->data.args[1]);

	if (!is_answered && (cell == NULL || is_flood(&cell->denied_until_us, ANSWERED_AT_ONCE, ANSWERED_EVERY_US)))
		hold(broker, fd, request->id, 0);
	else
		answer(fd, request->id, 0);
}

/* Decide about a call, by what it asks. */
static void
decide(struct broker *broker, struct listener *listener, const struct seccomp_notif *request)
{
	struct cell *cell = find_cell(broker, (pid_t)request->pid);
	uint64_t args[RULE_ARGS];

	memcpy(args, request->data.args, sizeof args);
	switch (policy_question(listener->policy, request->data.nr, args, listener->has_proxy)) {
	case POLICY_ASKS_SOCKET:
		decide_socket(broker, listener->watch.fd, cell, request);
		break;
	case POLICY_ANNOUNCES:
		decide_end(broker, listener->watch.fd, cell, request);
		break;
	case POLICY_ASKS_LOOK:
		decide_other(broker, listener, cell, request, true);
		break;
	case POLICY_ASKS_NOTHING:
		decide_other(broker, listener, cell, request, false);
		break;
	}
}

static void
notified(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct listener *listener = watch_owner(watch, struct listener, watch);
	struct seccomp_notif request;

	if ((events & EPOLLIN) == 0) {
		/* No process is left that it could be about. */
		close_listener(broker, listener);
		return;
	}
	if (broker->notify.held_count == SECCOMP_NOTIFY_HELD) {
		pause_listener(broker, listener);
		return;
	}
	memset(&request, 0, sizeof request);
	if (ioctl(watch->fd, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) {
		/*
		 * The caller has died. Any other error means that this is no listener, and would
		 * come back for ever.
		 */
		if (errno != ENOENT && errno != EINTR)
			close_listener(broker, listener);
		return;
	}
	decide(broker, listener, &request);
}

void
seccomp_notify_listen(struct broker *broker, const struct zygote *zygote, int fd)
{
	struct listener *listener = calloc(1, sizeof *listener);

	if (listener == NULL || loop_watch(&broker->loop, &listener->watch, fd, notified) != 0) {
		/* Without a listener the kernel answers by itself, with ENOSYS. */
		log_warn("denied calls of a zygote's guests cannot be reported: %s", strerror(errno));
		free(listener);
		close(fd);
		return;
	}
	listener->policy = zygote->language->policy;
	listener->has_proxy = broker->config->network == NETWORK_PROXY && (zygote->pool % GRANT_COUNT & GRANT_NETWORK) != 0;
}

uint64_t
seccomp_notify_keep_time(struct broker *broker, uint64_t now_us)
{
	struct seccomp_notify *notify = &broker->notify;
	size_t batch;

	if (notify->held_count <= HELD_RESUME)
		resume_listeners(broker);
	if (notify->held_count == 0)
		return NEVER_US;
	if (now_us < notify->held_until_us)
		return notify->held_until_us;
	batch = notify->held_count < HELD_BATCH ? notify->held_count : HELD_BATCH;
	for (size_t i = 0; i < batch; i++)
		answer(notify->held[i].fd, notify->held[i].id, notify->held[i].error);
	notify->held_count -= batch;
	memmove(notify->held, notify->held + batch, notify->held_count * sizeof notify->held[0]);
	notify->held_until_us = now_us + HOLD_US;
	return notify->held_count > 0 ? notify->held_until_us : NEVER_US;
}
