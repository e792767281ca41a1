/* relay_keep.c - see relay_keep.h. Runs in the door, and in what becomes of its child. */
#define _GNU_SOURCE
#include "door/relay_supervisor.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "door/door.h"
#include "fdpass.h"
#include "kernel/inherit_fds.h"
#include "log.h"

#define RESTART_US 1000000u /* from one start to the next */
#define OTHER_FILES 16      /* open in the relay, beside those for cells */

struct relay_supervisor {
	struct relay_config relay;
	pid_t pid; /* 0: it does not run */
	uint64_t started_us;
};

/* Look up a proxy, once. The first address that there is. */
static void
look_up(const struct config *config, size_t index, struct relay_config *relay)
{
	const struct proxy_config *proxy = &config->proxy[index];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	char host[512];
	char *port;
	int error;

	snprintf(host, sizeof host, "%s", proxy->address[0] == '[' ? proxy->address + 1 : proxy->address);
	port = strrchr(host, ':');
	*port++ = '\0';
	if (port[-2] == ']')
		port[-2] = '\0';
	error = getaddrinfo(host, port, &hints, &found);
	if (error != 0)
		die("%s: network.proxies[%zu].address: %s: %s", config->path, index, host,
		    error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	memcpy(&relay->address[index], found->ai_addr, found->ai_addrlen);
	relay->address_size[index] = found->ai_addrlen;
	freeaddrinfo(found);
}

/* For each cell a link, a listener, and two sockets for each connection, so that no cell can take what is another's. */
static void
allow_files(const struct config *config)
{
	rlim_t wanted = OTHER_FILES + (rlim_t)config->cells * (2 + 2 * (rlim_t)config->connections);
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		die("getrlimit: %s", strerror(errno));
	if (files.rlim_max >= wanted)
		return;
	files = (struct rlimit){ wanted, wanted };
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		die("%s: network.connections: %u for each of %u cells are more files than the runner may have open; allowed: "
		    "fewer, or start it with a higher limit", config->path, config->connections, config->cells);
}

struct relay_supervisor *
relay_supervisor_prepare(const struct config *config, int landlock_abi)
{
	struct relay_supervisor *keeper;
	char error[512];

	if (config->network != NETWORK_PROXY)
		return NULL;
	keeper = calloc(1, sizeof *keeper);
	if (keeper == NULL)
		die("out of memory");
	keeper->relay.config = config;
	keeper->relay.landlock_abi = landlock_abi;
	keeper->relay.policy = policy_load(config->policy_dir, "relay", error, sizeof error);
	if (keeper->relay.policy == NULL)
		die("%s", error);
	for (size_t i = 0; i < config->proxy_count; i++)
		look_up(config, i, &keeper->relay);
	allow_files(config);
	return keeper;
}

size_t
relay_supervisor_needs(const struct relay_supervisor *keeper, struct landlock_rule *rules)
{
	return keeper == NULL ? 0 : relay_rules(&keeper->relay, rules);
}

/* In the child: keep nothing but the channel and stderr. */
static void __attribute__((noreturn))
become_relay(const struct relay_config *relay, int channel_fd)
{
	struct rlimit files;
	sigset_t none;

	if (inherit_fds_only(&channel_fd, 1, true) != 0)
		die("relay: keep its channel: %s", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	relay_main(relay, INHERIT_FDS_FIRST);
}

static void
start(struct relay_supervisor *keeper, int broker_fd)
{
	pid_t door = getpid();
	int pair[2];

	keeper->started_us = clock_us();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("start the relay: %s", strerror(errno));
		return;
	}
	keeper->pid = fork();
	if (keeper->pid == 0) {
		/* Its death is ours; but it may be dead before the kernel was told. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != door)
			_exit(0);
		become_relay(&keeper->relay, pair[1]);
	}
	if (keeper->pid < 0) {
		log_warn("start the relay: %s", strerror(errno));
		keeper->pid = 0;
	} else if (fdpass_send(broker_fd, &(struct door_visitor){ .kind = DOOR_RELAY }, sizeof(struct door_visitor), &pair[0], 1) != 0) {
		log_warn("hand the relay to the broker: %s", strerror(errno));
	}
	close(pair[0]);
	close(pair[1]);
}

int
relay_supervisor_keep(struct relay_supervisor *keeper, int broker_fd)
{
	int wait_status;
	uint64_t now;

	if (keeper == NULL)
		return -1;
	if (keeper->pid != 0 && waitpid(keeper->pid, &wait_status, WNOHANG) == keeper->pid) {
		log_warn("the relay died (wait status 0x%x); another is started", (unsigned)wait_status);
		keeper->pid = 0;
	}
	if (keeper->pid != 0)
		return -1;
	now = clock_us();
	if (keeper->started_us == 0 || now >= keeper->started_us + RESTART_US)
		start(keeper, broker_fd);
	return keeper->pid != 0 ? -1 : (int)(RESTART_US / 1000);
}

void
relay_supervisor_finish(struct relay_supervisor *keeper)
{
	if (keeper == NULL)
		return;
	if (keeper->pid != 0)
		waitpid(keeper->pid, NULL, 0);
	policy_free(keeper->relay.policy);
	free(keeper);
}
