/* outcome.h - the result of a run, as this command shows it. */
#ifndef CELLBLOCK_OUTCOME_H
#define CELLBLOCK_OUTCOME_H

#include <stdbool.h>

struct json_object;

/* The exit code that stands for a result: the program's own, 128 + N, or EXIT_LIMIT. */
int outcome_exit_code(struct json_object *data);

/*
 * Write the program's stdout and stderr. Returns 0, or -1 with errno if they could not be written.
 */
int outcome_print(struct json_object *data);

/* Say on standard error what the program's own output does not: a limit, a signal, a cut. */
void outcome_explain(struct json_object *data);

/* A text of an object, or `otherwise`. */
const char *outcome_text(struct json_object *object, const char *name, const char *otherwise);

#endif
