/* fork_into.h - fork(2) with the child in new namespaces. */
#ifndef CELLBLOCK_FORK_INTO_H
#define CELLBLOCK_FORK_INTO_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Fork, with the child in new namespaces (CLONE_NEW* flags; see clone(2)). The caller must have one
 * thread. Returns like fork(2).
 */
pid_t fork_into(uint64_t namespaces);

#endif
