/*
 * probe.h - asks an interpreter or a compiler of the host for its version, and for the paths that
 * it needs.
 */
#ifndef CELLBLOCK_PROBE_H
#define CELLBLOCK_PROBE_H

#include <stddef.h>
#include <sys/types.h>

#include "config.h"
#include "start/rootfs.h"

/*
 * Run `interpreter` with `args` (at most 4, NULL-ended) on `script`, a file that it reads on its
 * stdin. The script prints a line "version TEXT" and lines "bind PATH". Adds the paths to `fs`. The
 * interpreter runs as `uid`, since it must not run as root; (uid_t)-1: as this process. `version`
 * holds PROTO_NAME_SIZE bytes. Returns 0, or -1 with a text in `error`.
 */
int probe_interpreter(const char *interpreter, const char *const *args, const char *script, uid_t uid, struct rootfs *fs,
    char *version, char *error, size_t size);

/*
 * Run `command` as `uid` ((uid_t)-1: as this process). `version`, of PROTO_NAME_SIZE bytes, becomes
 * the first version number that it prints. Returns 0, or -1 with a text in `error`.
 */
int probe_version(const struct strings *command, uid_t uid, char *version, char *error, size_t size);

#endif
