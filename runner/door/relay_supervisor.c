/*
 * relay_supervisor.c - see relay_supervisor.h. Runs at the start, then in the door, and in its
 * child until that is the relay.
 */
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
#include "fdpass.h"
#include "kernel/inherit_fds.h"
#include "log.h"
#include "messages.h"
#include "process_title.h"
#include "relay/relay.h"

#define RESTART_US 1000000u /* between two starts */

struct relay_supervisor {
	struct relay_config relay;
	pid_t pid; /* 0: it does not run */
	uint64_t started_us;
};

/* Look up a proxy, once, and take its first address. */
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

struct relay_supervisor *
relay_supervisor_prepare(const struct config *config, int landlock_abi)
{
	struct relay_supervisor *supervisor;
	char error[512];

	if (config->network != NETWORK_PROXY)
		return NULL;
	supervisor = calloc(1, sizeof *supervisor);
	if (supervisor == NULL)
		die("out of memory");
	supervisor->relay.config = config;
	supervisor->relay.landlock_abi = landlock_abi;
	supervisor->relay.policy = policy_load(config->policy_dir, "relay", 0, error, sizeof error);
	if (supervisor->relay.policy == NULL)
		die("%s", error);
	for (size_t i = 0; i < config->proxy_count; i++)
		look_up(config, i, &supervisor->relay);
	return supervisor;
}

size_t
relay_supervisor_needs(const struct relay_supervisor *supervisor, struct landlock_rule *rules)
{
	return supervisor == NULL ? 0 : relay_rules(&supervisor->relay, rules);
}

/* In the child: keep the channel and stdio, and close all other descriptors. */
static void __attribute__((noreturn)) become_relay(const struct relay_config *relay, int channel_fd)
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
	process_title_set("relay");
	relay_main(relay, INHERIT_FDS_FIRST);
}

static void
start(struct relay_supervisor *supervisor, int broker_fd)
{
	pid_t door = getpid();
	int pair[2];

	supervisor->started_us = clock_us();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("start the relay: %s", strerror(errno));
		return;
	}
	supervisor->pid = fork();
	if (supervisor->pid == 0) {
		/* The relay dies with the door. The door may have died before this call. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != door)
			_exit(0);
		become_relay(&supervisor->relay, pair[1]);
	}
	if (supervisor->pid < 0) {
		log_warn("start the relay: %s", strerror(errno));
		supervisor->pid = 0;
	} else if (fdpass_send(broker_fd, &(struct door_visitor){ .kind = DOOR_RELAY }, sizeof(struct door_visitor), &pair[0],
	               1) != 0) {
		log_warn("hand the relay to the broker: %s", strerror(errno));
	}
	close(pair[0]);
	close(pair[1]);
}

int
relay_supervisor_keep(struct relay_supervisor *supervisor, int broker_fd)
{
	int wait_status;
	uint64_t now;

	if (supervisor == NULL)
		return -1;
	if (supervisor->pid != 0 && waitpid(supervisor->pid, &wait_status, WNOHANG) == supervisor->pid) {
		log_warn("the relay died (wait status 0x%x); another is started", (unsigned)wait_status);
		supervisor->pid = 0;
	}
	if (supervisor->pid != 0)
		return -1;
	now = clock_us();
	if (supervisor->started_us == 0 || now >= supervisor->started_us + RESTART_US)
		start(supervisor, broker_fd);
	return supervisor->pid != 0 ? -1 : (int)(RESTART_US / 1000);
}

void
relay_supervisor_finish(struct relay_supervisor *supervisor)
{
	if (supervisor == NULL)
		return;
	if (supervisor->pid != 0)
		waitpid(supervisor->pid, NULL, 0);
	policy_free(supervisor->relay.policy);
	free(supervisor);
}
