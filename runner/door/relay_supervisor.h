/* relay_keep.h - the relay as the door sees it: made ready, started, and started again when it has died. */
#ifndef CELLBLOCK_RELAY_KEEP_H
#define CELLBLOCK_RELAY_KEEP_H

#include "landlock.h"
#include "relay/relay.h"

struct relay_supervisor;

/*
 * All that needs the rights of the start: compile the policy, look up the proxies, see to it that enough files may be open.
 * `landlock_abi`: 0 for no such wall.
 * Returns NULL where the configuration has no proxy to relay to. Dies if anything fails.
 */
struct relay_supervisor *relay_supervisor_prepare(const struct config *config, int landlock_abi);

/* The rules that let the proxies be reached, at most CONFIG_MAX_PROXIES. Returns how many; 0 for NULL. */
size_t relay_supervisor_needs(const struct relay_supervisor *keeper, struct landlock_rule *rules);

/*
 * Start the relay unless it runs, and hand its channel to the broker by `broker_fd` (DOOR_RELAY). Called in the door, which
 * has no privilege any more, whenever a child of it may have died. Returns in how many ms to call it again at the latest
 * (-1: when a child has died). Does nothing for NULL.
 */
int relay_supervisor_keep(struct relay_supervisor *keeper, int broker_fd);

/* The broker has gone, and so does the relay: wait for it, and free the keeper. Does nothing for NULL. */
void relay_supervisor_finish(struct relay_supervisor *keeper);

#endif
