/*
 * run_pipe.h - the pipes of a run: stdout and stderr, which the worker reads, and stdin, which it
 * fills.
 *
 * A pipe belongs to the worker's user. A program may open its own streams again all the same, as
 * /dev/stdout for instance: to write to its output, and to read its input. What it writes then
 * comes through the same pipe, within the same limit.
 */
#ifndef CELLBLOCK_RUN_PIPE_H
#define CELLBLOCK_RUN_PIPE_H

#include "request.h"

/* A run's stdin, as long as some of it is still to be written. */
struct run_input {
	int fd; /* to write to, non-blocking; -1: all is written, or nobody reads any more */
	const char *bytes;
	size_t left;
};

/*
 * Make a pipe for output. Returns the end to write to, and the worker's non-blocking end in *end;
 * or -1 with errno. The caller owns both.
 */
int run_pipe_output(int *end);

/*
 * Make a pipe for `text`, which must last as long as input->fd is not -1, and write as much to it
 * as it holds. Returns the end to read from, which the caller owns; or -1 with errno. The rest is
 * for run_pipe_feed.
 */
int run_pipe_input(const struct text *text, struct run_input *input);

/*
 * Make a pipe that somebody fills later, by run_pipe_pass. Returns the end to read from, which the
 * caller owns; or -1 with errno.
 */
int run_pipe_relayed(struct run_input *input);

/*
 * Write as much of input->left as the pipe has room for, and leave it open. Closes it when nobody
 * can read it any more.
 */
void run_pipe_pass(struct run_input *input);

/*
 * Write what the pipe has room for. Closes it when all is written, and when nobody can read it any
 * more.
 */
void run_pipe_feed(struct run_input *input);

/* Close the pipe, whatever is left. The run finds its end there. */
void run_pipe_drop(struct run_input *input);

#endif
