/*
 * relay_supervisor.h - the relay as the door sees it: prepared, started, and started again when it
 * has died.
 */
#ifndef CELLBLOCK_RELAY_SUPERVISOR_H
#define CELLBLOCK_RELAY_SUPERVISOR_H

#include "config.h"
#include "landlock.h"

struct relay_supervisor;

/*
 * Do whatever needs the rights of the start: compile the policy, look up the proxies.
 * `landlock_abi`: 0 for no Landlock. Returns NULL where the configuration has no proxy. Dies if
 * anything fails. The caller frees it with relay_supervisor_finish.
 */
struct relay_supervisor *relay_supervisor_prepare(const struct config *config, int landlock_abi);

/*
 * Write the rules that let the proxies be reached, at most CONFIG_MAX_PROXIES, to `rules`. Returns
 * how many; 0 for NULL.
 */
size_t relay_supervisor_needs(const struct relay_supervisor *supervisor, struct landlock_rule *rules);

/*
 * Start the relay unless it runs, and hand its channel to the broker over `broker_fd` (DOOR_RELAY).
 * Called in the door, which has no privilege any more, whenever a child of it may have died.
 * Returns in how many ms at the latest to call it again; -1: when a child has died. Does nothing
 * for NULL.
 */
int relay_supervisor_keep(struct relay_supervisor *supervisor, int broker_fd);

/*
 * After the broker has ended, with which the relay ends: wait for the relay, and free `supervisor`.
 * Does nothing for NULL.
 */
void relay_supervisor_finish(struct relay_supervisor *supervisor);

#endif
