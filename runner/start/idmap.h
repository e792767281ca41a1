/*
 * idmap.h - the uids and gids that the runner and its cells have on the host, and their mapping
 * into the runner's user namespace.
 *
 * After a start as root they come from the configuration. An ordinary user has its own, and the
 * range that /etc/subuid and /etc/subgid give it, which newuidmap(1) and newgidmap(1) map.
 */
#ifndef CELLBLOCK_IDMAP_H
#define CELLBLOCK_IDMAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

#define IDMAP_TEXT_SIZE 224

struct idmap {
	uid_t owner; /* of the runner; 0 in its namespace */
	gid_t group;
	uint32_t count;     /* of the ids of cells, which are 1 and up in the namespace; 0: cells have the runner's own */
	uint32_t first_uid; /* of the first cell, on the host */
	uint32_t first_gid;
	char uid_helper[256]; /* newuidmap and newgidmap; "" if the runner writes the maps itself */
	char gid_helper[256];
	char detail[IDMAP_TEXT_SIZE]; /* the ids in words, or why cells have none */
};

/*
 * Find the ids for config->cells cells, with the rights of the start, and try to map them in a user
 * namespace that ends at once. Leaves a count of 0, and the reason in `detail`, where there are
 * none. An ordinary user's range is halved between slots 0 and 1 (host.h) if a half is enough; else
 * both have the same ids.
 */
void idmap_find(struct idmap *ids, const struct config *config, uint32_t slot);

/*
 * Map the ids into the user namespace of `pid`, a child that waits. Returns 0, or -1 with a text in
 * `error`.
 */
int idmap_map(const struct idmap *ids, pid_t pid, char *error, size_t size);

#endif
