/* clean.c - see clean.h. */
#define _GNU_SOURCE
#include "check/clean.h"

#include <unistd.h>

#include "door/door.h"
#include "log.h"
#include "start/cgroup_open.h"
#include "start/host.h"
#include "start/level.h"
#include "start/parent.h"

int
clean(struct config *config)
{
	const uint32_t first_uid = config->first_uid;
	char name[HOST_NAME_SIZE];
	int status = 0;

	/*
	 * The socket and the free cells' groups of a runner at work could be removed, and it would
	 * serve no more.
	 */
	if (door_is_served(config)) {
		log_warn("a runner serves on %s: stop it first; nothing was removed", config->socket_path);
		return 1;
	}
	unlink(config->socket_path);
	for (uint32_t slot = 0; slot < HOST_SLOTS; slot++) {
		host_instance_name(config->socket_path, slot, name);
		cgroup_open_clean(name);
		host_use_slot(config, slot);
		if (level_find(config->level)->clean(config, name) != 0)
			status = 1;
		config->first_uid = first_uid;
	}
	parent_clean(config->socket_path);
	return status;
}
