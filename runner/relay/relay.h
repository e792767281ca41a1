/*
 * relay.h - the relay: the process of the runner through which cells reach a proxy, and nothing else.
 *
 *     program in a cell --TCP--> listener on the cell's loopback --relay--> the configured HTTP proxy --> where the proxy lets it
 *
 * A listening socket belongs to the network namespace in which it was made. So the warden makes one in each cell that is to
 * have a network, and the relay, which stays on the host, accepts what comes there and carries bytes: it knows no HTTP,
 * and opens no connection but to the proxies. It has the runner's uid, no capability, no file, a policy of its own
 * (etc/seccomp/relay.conf), and what Landlock can take.
 *
 * The broker tells it of a cell by one end of a socket pair, the cell's link. Whoever has the other end speaks for the cell:
 * first the warden, who sends the listener, then the broker, who sends relay_start when the cell gets its run. Until then
 * nothing is accepted. When the broker closes its end, all that the cell has here is closed.
 */
#ifndef CELLBLOCK_RELAY_H
#define CELLBLOCK_RELAY_H

#include <stdint.h>
#include <sys/socket.h>

#include "config.h"
#include "landlock.h"
#include "messages.h"
#include "policy.h"

/* What the relay needs to know, from before its walls. */
struct relay_config {
	const struct config *config;
	struct policy *policy;
	int landlock_abi; /* 0: none */
	struct sockaddr_storage address[CONFIG_MAX_PROXIES];
	socklen_t address_size[CONFIG_MAX_PROXIES];
};

/* The rules that let the proxies be reached, at most CONFIG_MAX_PROXIES. Returns how many. */
size_t relay_rules(const struct relay_config *config, struct landlock_rule *rules);

/*
 * Serve until `channel_fd` closes: the links of cells come there, each with one byte. Called in a process of its own, which has
 * nothing else open but stderr, and no capability; puts up the other walls first. Never returns.
 */
void relay_main(const struct relay_config *config, int channel_fd) __attribute__((noreturn));

#endif
