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
#include "fdpass.h"
#include "landlock.h"
#include "log.h"

#define BACKLOG 64

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
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_SETMASK, &signals, NULL);
}

int
door_listen(const struct config *config)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	gid_t gid;
	uid_t uid = door_worker_uid(config, &gid);
	char folder[sizeof address.sun_path];
	int fd;

	snprintf(address.sun_path, sizeof address.sun_path, "%s", config->socket_path);
	snprintf(folder, sizeof folder, "%s", config->socket_path);
	if (mkdir(dirname(folder), 0755) == 0) {
		/* A folder that is ours alone is given to what we become, which can then remove the socket at its end. */
		if (geteuid() == 0 && chown(folder, (uid_t)config->first_uid, (gid_t)config->first_uid) != 0)
			die("take over the socket's folder %s: %s", folder, strerror(errno));
	} else if (errno != EEXIST) {
		die("make the socket's folder %s: %s", folder, strerror(errno));
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("make a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		die("another runner serves on %s", config->socket_path);
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

static void
let_in(int listen_fd, int broker_fd, uid_t worker_uid)
{
	struct door_visitor visitor;
	struct ucred peer;
	socklen_t size = sizeof peer;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_warn("accept a worker: %s", strerror(errno));
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != worker_uid) {
		log_warn("uid %u, pid %d tried to connect and was refused", (unsigned)peer.uid, (int)peer.pid);
	} else {
		visitor = (struct door_visitor){ .kind = DOOR_WORKER, .pid = peer.pid };
		if (fdpass_send(broker_fd, &visitor, sizeof visitor, &fd, 1) != 0)
			log_warn("hand a worker to the broker: %s", strerror(errno));
	}
	close(fd);
}

/* What the relay needs, whom we may have to start again, we need too. */
static void
enter_landlock(const struct config *config, int abi, const struct relay_supervisor *relay)
{
	char folder[sizeof((struct sockaddr_un *)0)->sun_path];
	struct landlock_rule rules[2 + CONFIG_MAX_PROXIES] = { { .allowed = LANDLOCK_MAKE } };
	size_t count = 1;

	snprintf(folder, sizeof folder, "%s", config->socket_path);
	rules[0].fd = open(dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
#ifdef CELLBLOCK_SANITIZERS
	/* They look for leaks in the end, and for that into /proc. */
	rules[count++] = (struct landlock_rule){ .fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), .allowed = LANDLOCK_READ };
#endif
	count += relay_supervisor_needs(relay, rules + count);
	if (rules[0].fd < 0 || landlock_enter(abi, 0, rules, count) != 0)
		die("Landlock around the door: %s", strerror(errno));
	close(rules[0].fd);
}

int
door_serve(const struct config *config, int listen_fd, int broker_fd, pid_t broker_pid, uid_t worker_uid,
    int landlock_abi, struct relay_supervisor *relay)
{
	struct pollfd waits[2] = { { .fd = listen_fd, .events = POLLIN }, { .events = POLLIN } };
	struct signalfd_siginfo info;
	sigset_t signals;
	int wait_status;

	if (landlock_abi != 0)
		enter_landlock(config, landlock_abi, relay);
	sigprocmask(SIG_BLOCK, NULL, &signals);
	waits[1].fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (waits[1].fd < 0)
		die("signalfd: %s", strerror(errno));
	for (;;) {
		if (waitpid(broker_pid, &wait_status, WNOHANG) == broker_pid) {
			log_warn("the broker died (wait status 0x%x)", (unsigned)wait_status);
			return 1;
		}
		if (poll(waits, 2, relay_supervisor_keep(relay, broker_fd)) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if ((waits[0].revents & POLLIN) != 0)
			let_in(listen_fd, broker_fd, worker_uid);
		if ((waits[1].revents & POLLIN) != 0 && read(waits[1].fd, &info, sizeof info) == (ssize_t)sizeof info &&
		    info.ssi_signo != SIGCHLD)
			break;
	}
	/* Fails where the folder is not ours; the next start, or --clean, removes it then. */
	unlink(config->socket_path);
	/* The broker ends when its door closes, and everything in its pid namespace with it. */
	close(broker_fd);
	waitpid(broker_pid, &wait_status, 0);
	relay_supervisor_finish(relay);
	return 0;
}
