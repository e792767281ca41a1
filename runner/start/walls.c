/* walls.c - see walls.h. */
#define _GNU_SOURCE
#include "start/walls.h"

#include <stdio.h>

#include "landlock.h"
#include "policy.h"
#include "start/level.h"

bool
wall_never(const struct start *start)
{
	(void)start;
	return false;
}

bool
wall_wants_uid_per_cell(const struct start *start)
{
	return start->config->uid_per_cell == LAYER_REQUIRED;
}

bool
wall_has_uid_per_cell(const struct start *start)
{
	return !start->broker.single_uid;
}

void
wall_describe_ids(const struct start *start, char *text, size_t size)
{
	snprintf(text, size, "%s", start->ids.detail);
}

static bool
wants_cgroup(const struct start *start)
{
	return start->config->cgroup == LAYER_REQUIRED;
}

static bool
has_cgroup(const struct start *start)
{
	return start->broker.cgroup.version != 0;
}

static void
describe_cgroup(const struct start *start, char *text, size_t size)
{
	static const char *const versions[] = { "none: memory and processes are limited by rlimits",
		"version 1: memory, pids, cpu", "version 2: memory, pids, cpu" };

	snprintf(text, size, "%s", versions[start->broker.cgroup.version]);
}

static bool
wants_landlock(const struct start *start)
{
	return start->config->landlock == LAYER_REQUIRED;
}

static bool
has_landlock(const struct start *start)
{
	return start->broker.landlock_abi != 0;
}

static void
describe_landlock(const struct start *start, char *text, size_t size)
{
	snprintf(text, size, "ABI %d: %s; %s", start->broker.landlock_abi, landlock_offers(start->broker.landlock_abi),
	    start->broker.zygote_landlock ? "around zygotes, too" : "not around zygotes");
}

static void
describe_unix_sockets(const struct start *start, char *text, size_t size)
{
	const struct broker *broker = &start->broker;
	unsigned grants = level_unix_grants(broker);

	if (broker->single_uid)
		snprintf(text, size, "denied by seccomp, but for pairs: the cells have one uid in common");
	else if (grants == 0)
		snprintf(text, size,
		    "denied by seccomp, but for pairs: only Landlock ABI %d (Linux 6.12) keeps abstract names in their cell",
		    LANDLOCK_SCOPE_ABI);
	else if (broker->config->level == LEVEL_CHROOT)
		snprintf(text, size, "Landlock keeps abstract names in their cell");
	else
		snprintf(text, size, "abstract names belong to the network namespace of the cell%s%s",
		    broker->landlock_abi >= LANDLOCK_SCOPE_ABI ? ", and Landlock keeps them there" : "",
		    grants != POLICY_UNIX_ALL ? "; none for runs with the host's network" : "");
}

static const struct wall common_walls[] = {
	{ "cgroup", wants_cgroup, has_cgroup, NULL, describe_cgroup },
	{ "rlimits", NULL, NULL, "per cell", NULL },
	{ "capabilities", NULL, NULL, "none; bounding set empty", NULL },
	{ "no_new_privs", NULL, NULL, "set", NULL },
	{ "descriptors", NULL, NULL, "stdio alone, and what an interpreter has opened for itself", NULL },
	{ "seccomp", NULL, NULL, "allow-list per language, loaded last", NULL },
	{ "landlock", wants_landlock, has_landlock, NULL, describe_landlock },
	{ "unix_sockets", NULL, NULL, NULL, describe_unix_sockets },
	{ "deadlines", NULL, NULL, "wall-clock and CPU time", NULL },
};

static void
add_rows(struct start *start, const struct wall *walls, size_t count)
{
	char text[WALL_TEXT_SIZE];

	for (size_t i = 0; i < count; i++) {
		const struct wall *wall = &walls[i];

		if (wall->detail != NULL)
			snprintf(text, sizeof text, "%s", wall->detail);
		else
			wall->describe(start, text, sizeof text);
		layers_add(&start->broker.layers, wall->name, wall->is_required == NULL || wall->is_required(start),
		    wall->is_up == NULL || wall->is_up(start), "%s", text);
	}
}

void
walls_list(struct start *start)
{
	add_rows(start, start->level->walls, start->level->wall_count);
	add_rows(start, common_walls, sizeof common_walls / sizeof common_walls[0]);
}
