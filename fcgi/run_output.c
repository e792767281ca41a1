/* run_output.c - see run_output.h. Runs in a thread of the worker. */
#define _GNU_SOURCE
#include "run_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "json_text.h"
#include "log.h"

#define PIPE_BYTES 65536             /* the capacity of a new pipe */
#define BIG_PIPE_BYTES (1024 * 1024) /* the capacity that an ordinary user may give a pipe */
#define KEPT_BYTES (4 * PIPE_BYTES)  /* a larger buffer is returned to the system after the run */

void
run_output_init(struct output *output)
{
	*output = (struct output){ .bytes = malloc(PIPE_BYTES), .capacity = PIPE_BYTES };
	if (output->bytes == NULL)
		die("out of memory");
}

void
run_output_free(struct output *output)
{
	free(output->bytes);
}

void
run_output_release(struct output *output)
{
	if (output->capacity > KEPT_BYTES) {
		char *bytes = realloc(output->bytes, PIPE_BYTES);

		if (bytes != NULL) {
			output->bytes = bytes;
			output->capacity = PIPE_BYTES;
		}
	}
	output->size = 0;
	output->truncated = false;
}

/*
 * Enlarge the buffer, up to one byte more than the limit: that byte shows that there was more
 * output.
 */
static int
grow(struct output *output, uint64_t limit)
{
	size_t capacity = output->capacity * 2;
	char *bytes;

	if (capacity > limit + 1)
		capacity = (size_t)limit + 1;
	bytes = realloc(output->bytes, capacity);
	if (bytes == NULL)
		return -1;
	output->bytes = bytes;
	output->capacity = capacity;
	return 0;
}

int
run_output_read(struct output *output, int fd, uint64_t limit)
{
	char waste[PIPE_BYTES];
	ssize_t n;

	if (!output->truncated && output->size == output->capacity && grow(output, limit) != 0)
		return -1;
	if (output->truncated)
		n = read(fd, waste, sizeof waste);
	else
		n = read(fd, output->bytes + output->size, output->capacity - output->size);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -1;
	if (n == 0)
		return 0;
	if (output->truncated)
		return 1;
	/*
	 * A run that fills its pipe at once is likely to write more: make the reads fewer and
	 * bigger.
	 */
	if (output->size == 0 && n == PIPE_BYTES)
		fcntl(fd, F_SETPIPE_SZ, BIG_PIPE_BYTES);
	output->size += (size_t)n;
	if (output->size > limit) {
		output->size = (size_t)limit;
		output->truncated = true;
	}
	return 1;
}

/*
 * Cut a stream whose text in the reply would be too long: see RUN_ESCAPES. Returns whether it was.
 */
static bool
bound_escapes(struct output *output, uint64_t limit)
{
	size_t fit;

	if (output->size <= limit / (JSON_TEXT_MAX / RUN_ESCAPES))
		return false;
	fit = json_text_fit(output->bytes, output->size, limit * RUN_ESCAPES);
	if (fit == output->size)
		return false;
	output->size = fit;
	output->truncated = true;
	return true;
}

bool
run_output_settle(struct output *output, uint64_t limit)
{
	bool is_long = bound_escapes(output, limit);

	if (output->truncated)
		output->size = json_text_trim(output->bytes, output->size);
	return is_long;
}
