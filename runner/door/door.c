/* door.c - see door.h. */
#define _GNU_SOURCE
#include "door/door.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autoconfig.h"
#include "clock.h"
#include "door/relay_supervisor.h"
#include "fdpass.h"
#include "landlock.h"
#include "log.h"
#include "log_limit.h"
#include "messages.h"
#include "process_title.h"

#define BACKLOG 4096     /* all threads of all workers may connect at the same moment */
#define LEAVING_MS 2000  /* for a runner that was killed to come to its end */
#define LOOK_MS 50       /* from one look at that to the next */
#define PAUSE_US 100000u /* without accepting, where not even a refusal is possible */

uid_t
door_worker_uid(const struct config *config, gid_t *gid)
{
	const struct passwd *user;

	*gid = getegid();
	if (config->worker_user == NULL)
		return geteuid();
	user = getpwnam(config->worker_user);
	if (user == NULL)
		die("%s: runner.worker_user: there is no user \"%s\"", config->path, config->worker_user);
	if (geteuid() != 0 && user->pw_uid != geteuid())
		die("%s: runner.worker_user: only a start as root can let in another user than its own (\"%s\")", config->path,
		    config->worker_user);
	*gid = user->pw_gid;
	return user->pw_uid;
}

void
door_block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	sigaddset(&signals, SIGHUP); /* is the parent's: a terminal sends it to both */
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_SETMASK, &signals, NULL);
}

static struct sockaddr_un
socket_address(const struct config *config)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof address.sun_path, "%s", config->socket_path);
	return address;
}

bool
door_is_served(const struct config *config)
{
	struct sockaddr_un address = socket_address(config);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A door with a full backlog is there, too. */
	bool is_served = fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN);

	fdpass_close(&fd, 1);
	return is_served;
}

int
door_listen(const struct config *config)
{
	struct sockaddr_un address = socket_address(config);
	gid_t gid;
	uid_t uid = door_worker_uid(config, &gid);
	char directory[sizeof address.sun_path];
	int fd;

	snprintf(directory, sizeof directory, "%s", config->socket_path);
	if (mkdir(dirname(directory), 0755) != 0 && errno != EEXIST)
		die("make the socket's directory %s: %s", directory, strerror(errno));
	for (int waited_ms = 0; door_is_served(config); waited_ms += LOOK_MS) {
		if (waited_ms >= LEAVING_MS)
			die("another runner serves on %s", config->socket_path);
		poll(NULL, 0, LOOK_MS);
	}
	/* Two generations may wait for the same connection, which only one of them gets. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		die("make a socket: %s", strerror(errno));
	if (unlink(config->socket_path) != 0 && errno != ENOENT)
		die("remove the old socket %s: %s", config->socket_path, strerror(errno));
	umask(0177);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
		die("bind %s: %s", config->socket_path, strerror(errno));
	umask(022);
	if (geteuid() == 0 && lchown(config->socket_path, uid, gid) != 0)
		die("give %s to its user: %s", config->socket_path, strerror(errno));
	if (listen(fd, BACKLOG) != 0)
		die("listen on %s: %s", config->socket_path, strerror(errno));
	return fd;
}

void
door_take_listener(const struct config *config, int fd)
{
	struct sockaddr_un address = socket_address(config), there = { 0 };
	socklen_t size = sizeof there - 1;
	gid_t gid;
	uid_t uid = door_worker_uid(config, &gid);

	if (getsockname(fd, (struct sockaddr *)&there, &size) != 0)
		die("the parent's socket: %s", strerror(errno));
	if (strcmp(address.sun_path, there.sun_path) != 0)
		die("%s: runner.socket: workers connect to %s until the runner is restarted; allowed: the same path",
		    config->path, there.sun_path);
	if (geteuid() == 0 && lchown(config->socket_path, uid, gid) != 0)
		die("give %s to its user: %s", config->socket_path, strerror(errno));
}

/* ---- serving --------------------------------------------------------------------------------- */

/* The door at work. */
struct door {
	int listen_fd; /* -1: closed for good */
	int broker_fd;
	int spare_fd; /* closed for a moment when accept has no other free descriptor; -1: unavailable */
	uid_t worker_uid;
	bool has_parent;         /* which knows about other generations */
	bool accepts;            /* else another generation still does */
	bool is_stopping;        /* the broker was told to finish the runs */
	bool ends;               /* at once */
	uint64_t pause_until_us; /* no connection is accepted before; 0: none is waited for */
	struct log_limit accept_failed, stranger_refused, hand_over_failed;
};

/* accept(2), where it fails because no descriptor or no memory is left. */
static bool
is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/*
 * There is no descriptor for a connection. It would wait at the head of the queue and wake us again
 * at once, so it is accepted in the place of the spare descriptor, and closed. Where even that
 * fails, no connection is accepted for a while.
 */
static void
refuse_connection(struct door *door, int error)
{
	int fd;

	fdpass_close(&door->spare_fd, 1);
	fd = accept4(door->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		door->pause_until_us = clock_us() + PAUSE_US;
	fdpass_close(&fd, 1);
	door->spare_fd = fcntl(door->listen_fd, F_DUPFD_CLOEXEC, 0);
	log_limit_warn(&door->accept_failed, "accept a worker: %s; its connection is refused", strerror(error));
}

static void
accept_worker(struct door *door)
{
	struct door_visitor visitor;
	struct ucred peer;
	socklen_t size = sizeof peer;
	int fd = accept4(door->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		if (is_shortage(errno))
			refuse_connection(door, errno);
		else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_limit_warn(&door->accept_failed, "accept a worker: %s", strerror(errno));
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != door->worker_uid) {
		log_limit_warn(&door->stranger_refused, "uid %u, pid %d tried to connect and was refused", (unsigned)peer.uid,
		    (int)peer.pid);
	} else {
		visitor = (struct door_visitor){ .kind = DOOR_WORKER, .pid = peer.pid };
		if (fdpass_send(door->broker_fd, &visitor, sizeof visitor, &fd, 1) != 0)
			log_limit_warn(&door->hand_over_failed, "hand a worker to the broker: %s", strerror(errno));
	}
	close(fd);
}

/*
 * Landlock around the door. The door may have to start the relay again, so it needs whatever the
 * relay needs. It needs no file.
 */
static void
enter_landlock(int abi, const struct relay_supervisor *relay)
{
	struct landlock_rule rules[1 + CONFIG_MAX_PROXIES];
	size_t count = 0;

#ifdef CELLBLOCK_SANITIZERS
	/* At the end they look for leaks, and into /proc for that. */
	rules[count++] = (struct landlock_rule){ .fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.allowed = LANDLOCK_READ };
	if (rules[0].fd < 0)
		die("open /proc: %s", strerror(errno));
#endif
	if (landlock_enter(abi, 0, rules, count + relay_supervisor_needs(relay, rules + count)) != 0)
		die("Landlock around the door: %s", strerror(errno));
	for (size_t i = 0; i < count; i++)
		close(rules[i].fd);
}

/* How long to wait, in ms: `most_ms` (-1: without end) at most, and no longer than the pause. */
static int
timeout_ms(struct door *door, int most_ms)
{
	uint64_t now = clock_us();
	int pause_ms;

	if (door->pause_until_us <= now)
		door->pause_until_us = 0;
	if (door->pause_until_us == 0)
		return most_ms;
	pause_ms = (int)((door->pause_until_us - now + 999u) / 1000u);
	return most_ms >= 0 && most_ms < pause_ms ? most_ms : pause_ms;
}

/* Tell the broker that runs come to it alone. */
static void
tell_alone(const struct door *door)
{
	const struct door_visitor notice = { .kind = DOOR_ALONE };

	if (fdpass_send(door->broker_fd, &notice, sizeof notice, NULL, 0) != 0)
		log_warn("tell the broker that no other one is sent runs: %s", strerror(errno));
}

/* Accept nobody from now on, and have the broker come to its end: `kind` says how. */
static void
drain(struct door *door, enum door_kind kind)
{
	const struct door_visitor order = { .kind = kind };

	fdpass_close(&door->listen_fd, 1);
	fdpass_close(&door->spare_fd, 1);
	if (fdpass_send(door->broker_fd, &order, sizeof order, NULL, 0) != 0) {
		log_warn("tell the broker to end: %s", strerror(errno));
		door->ends = true;
	}
}

static void
take_signal(struct door *door, int number)
{
	switch (number) {
	case SIGUSR1:
		tell_alone(door);
		break;
	case SIGUSR2:
		if (!door->is_stopping)
			drain(door, DOOR_MOVED);
		break;
	case SIGTERM:
		door->ends = door->is_stopping;
		if (!door->is_stopping)
			drain(door, DOOR_STOP);
		door->is_stopping = true;
		break;
	case SIGINT:
	case SIGQUIT:
		door->ends = true;
		break;
	default:
		break;
	}
}

/* The broker has something to say, or has gone, which the end of its process reports. */
static void
hear_broker(struct door *door, struct pollfd *wait)
{
	struct broker_notice notice;
	size_t count;
	ssize_t n = fdpass_recv(door->broker_fd, &notice, sizeof notice, NULL, 0, &count, NULL);

	if (n == (ssize_t)sizeof notice && notice.kind == BROKER_READY) {
		door->accepts = true;
		generation_report(GENERATION_READY);
		if (!door->has_parent)
			tell_alone(door);
	} else if (n == (ssize_t)sizeof notice && notice.kind == BROKER_MOVED) {
		generation_report(GENERATION_MOVED);
	} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		wait->fd = -1;
	}
}

/* Returns the exit status of a door whose broker has ended. */
static int
broker_ended(const struct door *door, int wait_status)
{
	if (door->listen_fd < 0 && wait_status == 0)
		return 0;
	log_warn("the broker died (wait status 0x%x)", (unsigned)wait_status);
	return 1;
}

/* Let the broker end, with every cell. */
static int
end(const struct door_setup *setup)
{
	int wait_status;

	/* The broker ends when its door closes, and everything in its pid namespace with it. */
	close(setup->broker_fd);
	waitpid(setup->broker_pid, &wait_status, 0);
	relay_supervisor_finish(setup->relay);
	return 0;
}

int
door_serve(const struct door_setup *setup)
{
	struct door door = { .listen_fd = setup->listen_fd,
		.broker_fd = setup->broker_fd,
		.worker_uid = setup->worker_uid,
		.has_parent = setup->generation->has_parent,
		.accepts = !setup->generation->replaces };
	struct pollfd waits[3] = { { .events = POLLIN }, { .events = POLLIN }, { .fd = setup->broker_fd, .events = POLLIN } };
	struct signalfd_siginfo info;
	sigset_t signals;
	int wait_status;

	process_title_set("door");
	if (setup->landlock_abi != 0)
		enter_landlock(setup->landlock_abi, setup->relay);
	sigprocmask(SIG_BLOCK, NULL, &signals);
	waits[1].fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (waits[1].fd < 0)
		die("signalfd: %s", strerror(errno));
	door.spare_fd = fcntl(door.listen_fd, F_DUPFD_CLOEXEC, 0);
	while (!door.ends) {
		int wait_ms = timeout_ms(&door, relay_supervisor_keep(setup->relay, door.broker_fd));

		if (waitpid(setup->broker_pid, &wait_status, WNOHANG) == setup->broker_pid) {
			relay_supervisor_finish(setup->relay);
			return broker_ended(&door, wait_status);
		}
		waits[0].fd = door.accepts && door.pause_until_us == 0 ? door.listen_fd : -1;
		for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
			waits[i].revents = 0;
		if (poll(waits, sizeof waits / sizeof waits[0], wait_ms) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if ((waits[0].revents & POLLIN) != 0)
			accept_worker(&door);
		if (waits[2].revents != 0)
			hear_broker(&door, &waits[2]);
		if ((waits[1].revents & POLLIN) != 0 && read(waits[1].fd, &info, sizeof info) == (ssize_t)sizeof info)
			take_signal(&door, (int)info.ssi_signo);
	}
	return end(setup);
}
