/*
 * warden.h - the warden: a small process per language that makes the cells.
 *
 * It lives in the language's root and in no cell. For each cell it starts an init in fresh
 * namespaces, and waits until that has mounted what the cell has. The inits share its memory (clone
 * with CLONE_VM: a process of its own costs 0.07 ms more) and then do nothing but exist: when init
 * is killed, the kernel kills all that is in the cell, and the mounts go.
 *
 * At level chroot it makes the cell's root (chroot_tree.h) instead, and leaves a reaper behind
 * (reaper.h).
 */
#ifndef CELLBLOCK_WARDEN_H
#define CELLBLOCK_WARDEN_H

#include <stddef.h>
#include <stdint.h>

#include "messages.h"
#include "policy.h"

struct warden_config {
	uint32_t cells;   /* the number of cells */
	uint32_t zygotes; /* the number of zygotes of the language */
	uint64_t inodes;  /* of a cell's tmpfs */
	uint64_t disk_bytes;
	const char *output;                 /* the file that a compiler makes; NULL: there is none */
	uint64_t output_bytes;              /* of it, at most */
	const struct bpf *collector_policy; /* of collectors */
	int collector_landlock;             /* its ABI; 0: there is none around collectors */
	uint64_t collect_bytes;             /* of the files of a run together, at most */
	const char *compiler[2];            /* paths of the files that identify the compiler; NULL: there is none */
	int has_proc;                       /* cells have a /proc */
	int last_pid_fd;                    /* see renewal.h; -1: no cell is renewed */
	int single_uid;                     /* no uid but 0 is mapped */
	int zygote_landlock;                /* zygotes cannot join namespaces by an init's pidfd */
	uint32_t first_uid;                 /* level chroot: of cell 0. The uids behind those of the cells are their reapers' */
};

/*
 * Serve warden_requests on `sock` until it closes. Called in a child of the broker that is in the
 * mount namespace of the language's root and has nothing else open; never returns.
 */
void warden_main(int sock, const struct warden_config *config) __attribute__((noreturn));

struct planted;

/* The same at level chroot, in the directory of the language's trees, with its first tree. */
void warden_chroot_main(int sock, const struct warden_config *config, const struct planted *planted) __attribute__((noreturn));

#endif
