/* probe.h - ask an interpreter or a compiler, as it is on the host, what it is. Done at the runner's start. */
#ifndef CELLBLOCK_PROBE_H
#define CELLBLOCK_PROBE_H

#include <stddef.h>
#include <sys/types.h>

#include "config.h"
#include "start/rootfs.h"

/*
 * Run `interpreter` with `args` (at most 4, NULL-ended) on `script`, a file that it reads on its stdin. That prints a line
 * "version TEXT" and lines "bind PATH". The paths are added to `fs`. Who asks is `uid`, because an interpreter is not run as
 * root; (uid_t)-1: whoever we are. `version` holds PROTO_NAME_SIZE bytes. Returns 0, or -1 with a text in `error`.
 */
int probe_interpreter(const char *interpreter, const char *const *args, const char *script, uid_t uid, struct rootfs *fs,
    char *version, char *error, size_t size);

/* Run `command`, likewise; `version` becomes the first version number that it prints. */
int probe_version(const struct strings *command, uid_t uid, char *version, char *error, size_t size);

#endif
