/*
 * ids.h - which uids and gids of the host the runner and its cells have, and their way into the runner's user namespace.
 *
 * Root takes them from the configuration. An ordinary user has his own, and with it the range that /etc/subuid and
 * /etc/subgid give him, which newuidmap(1) and newgidmap(1) map for him.
 */
#ifndef CELLBLOCK_IDS_H
#define CELLBLOCK_IDS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

#define IDS_TEXT_SIZE 224

struct idmap {
	uid_t owner; /* of the runner; 0 in its namespace */
	gid_t group;
	uint32_t count;     /* ids of cells, which are 1 and up in the namespace; 0: cells have the runner's own */
	uint32_t first_uid; /* of the first of them on the host */
	uint32_t first_gid;
	char uid_helper[256]; /* newuidmap and newgidmap; "" if we write the maps ourselves */
	char gid_helper[256];
	char detail[IDS_TEXT_SIZE]; /* what they are, or why there are none for cells */
};

/*
 * Find the ids for config->cells cells, with the rights that the runner was started with. That they can be had is tried,
 * in a user namespace that is then gone. Leaves a count of 0 where there are none.
 */
void idmap_find(struct idmap *ids, const struct config *config);

/* Map them into the user namespace of `pid`, a child that waits for it. Returns 0, or -1 with a text in `error`. */
int idmap_map(const struct idmap *ids, pid_t pid, char *error, size_t size);

#endif
