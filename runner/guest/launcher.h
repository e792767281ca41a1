/*
 * launcher.h - the zygote of a language whose programs are started by execve(2): it is no interpreter, and its guests
 * become one, or become the compiler, or what was compiled.
 *
 * A guest is the same as any other until its program starts. Of a spare one that is so although its interpreter has
 * been started already; see hook.c.
 */
#ifndef CELLBLOCK_LAUNCHER_H
#define CELLBLOCK_LAUNCHER_H

#include <stdbool.h>

#include "config.h"

struct launcher_config {
	const struct language_config *language;
	const char *version;
	char *const *env; /* NULL-ended: what all programs of the language find */
	bool is_spare;    /* start the interpreter when the cell is armed, not when it is given its program */
};

/*
 * Serve the warden. The caller is a fresh child, in the root of the language, with the descriptors that a zygote has
 * (messages.h).
 */
void launcher_main(const struct launcher_config *config) __attribute__((noreturn));

#endif
