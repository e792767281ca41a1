/* clean.c - see clean.h. */
#define _GNU_SOURCE
#include "check/clean.h"

#include <unistd.h>

#include "door/door.h"
#include "log.h"
#include "start/cgroup_open.h"
#include "start/host.h"
#include "start/level.h"

int
clean(const struct config *config)
{
	char name[HOST_NAME_SIZE];

	/*
	 * The socket and the free cells' groups of a runner at work could be removed, and it would
	 * serve no more.
	 */
	if (door_is_served(config)) {
		log_warn("a runner serves on %s: stop it first; nothing was removed", config->socket_path);
		return 1;
	}
	host_instance_name(config, name);
	cgroup_open_clean(name);
	unlink(config->socket_path);
	return level_find(config->level)->clean(config, name) != 0;
}
