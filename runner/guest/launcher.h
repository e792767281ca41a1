/*
 * launcher.h - the zygote of a language whose programs are started by execve(2). It is no
 * interpreter. Its guests become the interpreter, the compiler, or the compiler's output.
 *
 * Until its program starts, a guest is the same as any other. That also holds for a spare guest,
 * whose interpreter has been started already (hook.c).
 */
#ifndef CELLBLOCK_LAUNCHER_H
#define CELLBLOCK_LAUNCHER_H

#include <stdbool.h>

#include "config.h"

struct launcher_config {
	const struct language_config *language;
	const char *version;
	char *const *env;    /* NULL-ended: the environment of all programs of the language */
	unsigned processors; /* that a cell may use at the same time */
	bool is_spare;       /* start the interpreter when the cell is armed, not when the program comes */
};

/*
 * Serve the warden. Call this in a new child process, in the root directory of the language, with
 * the descriptors of a zygote (messages.h).
 */
void launcher_main(const struct launcher_config *config) __attribute__((noreturn));

#endif
