/*
 * language_prepare.h - the part of a language that needs the rights of the start: its programs, its
 * root, its zygotes' setups.
 */
#ifndef CELLBLOCK_LANGUAGE_PREPARE_H
#define CELLBLOCK_LANGUAGE_PREPARE_H

#include "broker/language.h"
#include "messages.h"
#include "start/etc_mount.h"
#include "start/cell_proc.h"
#include "start/policy_cache.h"

#define LANGUAGE_KEY_SIZE 32

enum language_check {
	LANGUAGE_GOOD,
	LANGUAGE_NOT_HERE, /* the start leaves it out, with a warning */
	LANGUAGE_WRONG,    /* the start fails */
};

/*
 * Check a language as language_prepare does, and keep nothing. Sets `version` of one that is good.
 * For another, `error` gets a text, and `key` the setting of its file to blame, as config_lookup(3)
 * takes it ("root.[1]").
 */
enum language_check language_prepare_check(const struct config *config, const struct language_config *from, uid_t probe_uid,
    struct policy_cache *policies, char version[PROTO_NAME_SIZE], char key[LANGUAGE_KEY_SIZE], char *error, size_t size);

/*
 * Fill *language: get its policy, ask its interpreter or compiler for the version, look up the
 * paths of its root. `probe_uid`: the uid that asks; see probe.h. A language that is not installed
 * is LANGUAGE_MISSING, which is no failure. Returns 0, or -1 with a text in `error`.
 */
int language_prepare(struct language *language, const struct config *config, const struct language_config *from, uid_t probe_uid,
    struct policy_cache *policies, char *error, size_t size);

/*
 * Level chroot: make the directory of its trees in `dir_fd`, and write the setups. `common`: the
 * part of them that is the same for all zygotes. Returns 0, or -1 with a text in `error`.
 */
int language_prepare_trees(struct language *language, int dir_fd, const struct zygote_setup *common, char *error, size_t size);

/*
 * Level namespaces: clone the mounts of its root; see rootfs_open. Returns 0, or -1 with a text in
 * `error`.
 */
int language_prepare_clones(struct language *language, const struct config *config, char *error, size_t size);

/*
 * Level namespaces: put its root together, in mount namespaces that only descriptors keep, and
 * write the setups. The caller is in another mount namespace afterwards. `proc_fd`: /proc.
 * `proc`, `etc`: see rootfs_enter. `common`: the part of the setups that is the same for all
 * zygotes. Returns 0, or -1 with a text in `error`.
 */
int language_prepare_root(struct language *language, int proc_fd, const struct cell_proc *proc, const struct etc_mount *etc,
    const struct zygote_setup *common, char *error, size_t size);

/* Free a language, and close its descriptors. */
void language_prepare_free(struct language *language);

#endif
