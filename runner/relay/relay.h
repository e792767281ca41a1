/*
 * relay.h - the relay: the process of the runner through which cells reach a proxy, and nothing
 * else.
 *
 *     program --TCP--> listener on the cell's loopback --relay--> HTTP proxy --> where that lets it
 *     program --TCP, level chroot--------------------->--relay--> HTTP proxy --> where that lets it
 *
 * A listening socket belongs to the network namespace in which it was made. So the warden makes one
 * in each cell that gets a network. The relay, which stays on the host, accepts the connections and
 * carries their bytes. At level chroot there is no such namespace: the relay gets each connection
 * from the broker, which has made it and given a program its other end. The relay knows no HTTP,
 * and connects to the proxies only. It has the runner's uid, no capability, no file, a policy of
 * its own (etc/seccomp/relay.conf), and Landlock.
 *
 * A cell is known to the relay by one end of a socket pair, its link, which the broker makes when
 * the program of a run makes its first socket. By the other end the broker sends relay_orders. When
 * it closes its end, the relay closes everything of the cell.
 */
#ifndef CELLBLOCK_RELAY_H
#define CELLBLOCK_RELAY_H

#include <stdint.h>
#include <sys/socket.h>

#include "config.h"
#include "landlock.h"
#include "messages.h"
#include "policy.h"

#define RELAY_WAITING_MAX 64 /* level chroot: connections of a cell that it cannot have yet; more are reset */

/* All that the relay needs from the time before its walls are up. */
struct relay_config {
	const struct config *config;
	struct policy *policy;
	int landlock_abi; /* 0: none */
	struct sockaddr_storage address[CONFIG_MAX_PROXIES];
	socklen_t address_size[CONFIG_MAX_PROXIES];
};

/*
 * Write the Landlock rules that let the proxies be reached, at most CONFIG_MAX_PROXIES. Returns how
 * many there are.
 */
size_t relay_rules(const struct relay_config *config, struct landlock_rule *rules);

/*
 * Put up the walls of the relay, and serve until `channel_fd` closes. Each message on it is one
 * byte with the link of a cell. Called in a process of its own that has only this descriptor and
 * stdio open, and no capability. Never returns.
 */
void relay_main(const struct relay_config *config, int channel_fd) __attribute__((noreturn));

#endif
