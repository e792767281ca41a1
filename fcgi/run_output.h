/* run_output.h - the output of a run: a buffer with a bound, which is read from a pipe. */
#ifndef CELLBLOCK_RUN_OUTPUT_H
#define CELLBLOCK_RUN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A byte of output becomes up to JSON_TEXT_MAX bytes of the reply. All of them count: a stream may
 * take this many times output_bytes of the reply. So the reply to any run has a known most size,
 * and a text, whose line breaks and quotes become two bytes each, is never cut for its escapes.
 */
#define RUN_ESCAPES 2

/* The bytes read from one pipe, at most the run's output_bytes. */
struct output {
	char *bytes;
	size_t size;
	size_t capacity;
	bool truncated; /* more was written than is here */
};

/* Allocate the buffer, which many runs use. Dies if there is no memory. */
void run_output_init(struct output *output);

/* Free the buffer. */
void run_output_free(struct output *output);

/* Discard the bytes, and return the memory that only an unusually large output needs. */
void run_output_release(struct output *output);

/*
 * Read once from the non-blocking pipe `fd`. What is above `limit` bytes is read and discarded.
 * Returns 1 if the pipe is open, 0 at its end, or -1 with errno.
 */
int run_output_read(struct output *output, int fd, uint64_t limit);

/*
 * All is read: cut a stream whose text in the reply would be too long for `limit` bytes (see
 * RUN_ESCAPES), and let a stream that was cut end with a whole character. Returns whether its text
 * was too long.
 */
bool run_output_settle(struct output *output, uint64_t limit);

#endif
