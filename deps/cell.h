/*
 * cell.h - runs an installer in a cell of its own, which bubblewrap makes.
 *
 * An installer runs code of the packages that it installs. In its cell it sees the programs of the
 * host, the files that name the packages, and the set that it makes, and can write to nothing else.
 * It has no process of the host in sight, and a network only if it is configured.
 */
#ifndef CELLBLOCK_DEPS_CELL_H
#define CELLBLOCK_DEPS_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define CELL_WORDS 256 /* of a command */
#define CELL_PLACE_SIZE 4096

/* A list of words; those that are made live as long as it does. */
struct words {
	char *word[CELL_WORDS + 1]; /* NULL-ended */
	size_t count;
};

/* Append a word, printf-style. Dies without memory, or if there are too many. */
void words_add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
void words_free(struct words *words);

struct cell {
	const struct config *config;
	const struct language_config *language;
	const char *set;  /* the directory of a set; NULL: none */
	bool is_building; /* it may write to the set, and have the network */
	int out_fd;       /* for stdout and stderr */
	int error_fd;     /* for stderr; -1: out_fd */
};

/* Where the programs in the cell see `set`. Returns `place`. */
const char *cell_place(const struct cell *cell, char place[CELL_PLACE_SIZE]);

/*
 * Run a command in the cell, until its end, or until it has taken too long or `set` too much space.
 * Returns 0 if it ended with exit status 0; or -1 with one line in `error`.
 */
int cell_run(const struct cell *cell, const struct words *command, char *error, size_t size);

#endif
