/*
 * cell_network.h - the network of a cell: its namespace, and its way to a proxy.
 *
 * A network namespace takes 0.7 ms to make and unmake. So a cell keeps an empty one for its runs
 * without a network, and one with a listener of the relay for its runs with a proxy. The policy
 * reports the first socket of the internet that a program makes (POLICY_ASKED). Until then nothing
 * can have changed in the namespace, and the relay knows nothing of the cell: most runs that may
 * use a network do not. A namespace that had a socket is not used again.
 *
 * At level chroot there are no namespaces; see handed_socket.h.
 */
#ifndef CELLBLOCK_CELL_NETWORK_H
#define CELLBLOCK_CELL_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "messages.h"

struct broker;
struct cell;

/* Of a cell. Descriptors: -1: none. */
struct cell_net {
	int empty_fd;     /* the namespace for runs without a network; stays */
	int relay_fd;     /* that for runs with a proxy; stays until a run has used it */
	int listener_fd;  /* of the relay, in that one */
	bool has_sockets; /* the run has made a socket of the internet */
	int link_fd;      /* to the relay; all that the relay has of the cell ends when this is closed */
};

#define CELL_NET_NONE ((struct cell_net){ .empty_fd = -1, .relay_fd = -1, .listener_fd = -1, .link_fd = -1 })

/* Whether the cell has a network namespace that no other cell is in. */
bool cell_network_is_own(const struct broker *broker, const struct cell *cell);

/* Whether its run has a network by a proxy. */
bool cell_network_has_proxy(const struct broker *broker, const struct cell *cell);

/*
 * Whether the network is as it was made, as far as the broker knows: then the cell may be renewed
 * with it.
 */
bool cell_network_may_stay(const struct broker *broker, const struct cell *cell);

/*
 * The network that the warden is to give the cell, in *network, and the descriptor that goes with
 * it, in *fd; it stays the cell's. -1: none. Returns NULL, or the step that failed, with errno.
 */
const char *cell_network_prepare(struct broker *broker, struct cell *cell, uint32_t *network, int *fd);

/*
 * The warden has made a network namespace with a listener, as requested. Takes both descriptors.
 * Returns 0, or -1 if that was not requested.
 */
int cell_network_made(struct broker *broker, struct cell *cell, int fds[2]);

/* Make its link to the relay, if it has none. Returns 0, or -1 with errno. */
int cell_network_link(struct broker *broker, struct cell *cell);

/*
 * Level namespaces: the program of its run makes a socket. Has the relay serve it from now on.
 * Returns 0, or an errno with which that fails.
 */
int cell_network_socket(struct broker *broker, struct cell *cell);

/*
 * Whatever its state is, something in it may have made a socket: its namespace is not used again.
 */
void cell_network_suspect(struct cell *cell);

/* The run has ended, or there will be none: part it from the relay. */
void cell_network_end(struct cell *cell);

/* The relay has died, and its links with it. */
void cell_network_relay_gone(struct broker *broker);

#endif
