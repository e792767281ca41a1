/* language_prepare.h - what of a language needs the rights of the start: its programs, its root, its zygotes' setups. */
#ifndef CELLBLOCK_LANGUAGE_PREPARE_H
#define CELLBLOCK_LANGUAGE_PREPARE_H

#include "broker/language.h"
#include "messages.h"

/*
 * Compile the policy, ask the interpreter or compiler what it is, look up what its root needs. `probe_uid`: who asks;
 * see probe.h. A language that is not installed is missing, which is no failure. Returns 0, or -1 with a text in `error`.
 */
int language_prepare(struct language *language, const struct config *config, const struct language_config *from,
    uid_t probe_uid, char *error, size_t size);

/* Level chroot, instead of language_open and language_build: make the folder of its trees in `dir_fd`. Likewise. */
int language_prepare_trees(struct language *language, int dir_fd, const struct zygote_setup *common, char *error, size_t size);

/* Clone what is to be bound; see rootfs_open. */
int language_prepare_clones(struct language *language, const struct config *config, char *error, size_t size);

/*
 * Put the root together, in mount namespaces of its own that only descriptors keep. The caller's mount namespace is
 * left. `proc_fd`: /proc. `common`: what is the same for all zygotes. Returns 0, or -1 with a text.
 */
int language_prepare_root(struct language *language, int proc_fd, const struct zygote_setup *common, char *error, size_t size);

/* Let go of what language_prepare made. */
void language_prepare_free(struct language *language);

#endif
