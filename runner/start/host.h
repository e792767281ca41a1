/* host.h - the rights that the runner has on the host at its start, and how it gives them up. */
#ifndef CELLBLOCK_HOST_H
#define CELLBLOCK_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

#define HOST_NAME_SIZE 32

/*
 * Two generations of a runner live at the same time while one replaces the other
 * (common/generations.h). Each has a slot, and what it makes on the host follows from that.
 */
#define HOST_SLOTS 2u
#define HOST_SLOT_UIDS 8194u /* from the first uid of a slot to that of the next: at least what 4096 cells need */

/*
 * The name of whatever a generation of a runner makes on the host: its control groups, and its
 * directory at level chroot. It follows from the path of the socket, which two runners cannot
 * share, and from the slot.
 */
void host_instance_name(const char *socket_path, uint32_t slot, char name[HOST_NAME_SIZE]);

/* Move runner.first_uid to the uids of a slot. Only a start as root has uids of its own. */
void host_use_slot(struct config *config, uint32_t slot);

/* The namespaces of the broker and all below it. */
extern const uint64_t host_broker_namespaces;

/* Whether a user namespace can be made. If not, errno says why. */
bool host_has_user_namespaces(void);

/*
 * Whether root of a user namespace of ours may mount a procfs. The kernel denies it where a part of
 * the procfs that we see is covered, as in most containers. Sets errno if not.
 */
bool host_has_proc(void);

/*
 * Leave a chroot(2), but not its files: make its root the root of a mount namespace of our own. The
 * kernel makes no user namespace for a process in a chroot. For a start as root. Does nothing where
 * there is no chroot. Dies if it fails.
 */
void host_leave_chroot(void);

/*
 * In a child, when its ids are mapped (idmap.h): become root of the user namespace. Dies if it
 * fails.
 */
void host_become_namespace_root(bool single_uid);

/*
 * Level chroot: become the broker. It stays root of the container, with few of its capabilities,
 * and is the subreaper of all processes that lose their parent. Dies if it fails.
 */
void host_become_container_root(void);

/*
 * Become `owner`, for good, with no group, no capability and no way to get one, and verify that.
 * For a process that stays on the host. Dies if it fails.
 */
void host_drop_privileges(uid_t owner);

#endif
