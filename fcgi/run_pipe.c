/* run_pipe.c - see run_pipe.h. Runs in the worker. */
#define _GNU_SOURCE
#include "run_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdpass.h"

#define MODE_OUTPUT (S_IRUSR | S_IWUSR | S_IWOTH)
#define MODE_INPUT (S_IRUSR | S_IWUSR | S_IROTH)

/*
 * Make a pipe whose end `ours` does not block. Only that end: a program expects its own to block.
 * Returns 0, or -1 with errno.
 */
static int
open_pipe(int *both, int ours, mode_t mode)
{
	if (pipe2(both, O_CLOEXEC) != 0)
		return -1;
	if (fcntl(both[ours], F_SETFL, O_NONBLOCK) == 0 && fchmod(both[ours], mode) == 0)
		return 0;
	fdpass_close(both, 2);
	return -1;
}

/*
 * The worker must not block even when poll(2) announced data: a program of the same user can open
 * its own pipe and read the data first.
 */
int
run_pipe_output(int *end)
{
	int both[2];

	if (open_pipe(both, 0, MODE_OUTPUT) != 0)
		return -1;
	*end = both[0];
	return both[1];
}

int
run_pipe_input(const struct text *text, struct run_input *input)
{
	int both[2];

	if (open_pipe(both, 1, MODE_INPUT) != 0)
		return -1;
	*input = (struct run_input){ .fd = both[1], .bytes = text->bytes, .left = text->size };
	run_pipe_feed(input);
	return both[0];
}

int
run_pipe_relayed(struct run_input *input)
{
	int both[2];

	if (open_pipe(both, 1, MODE_INPUT) != 0)
		return -1;
	*input = (struct run_input){ .fd = both[1] };
	return both[0];
}

void
run_pipe_pass(struct run_input *input)
{
	while (input->fd >= 0 && input->left > 0) {
		ssize_t n = write(input->fd, input->bytes, input->left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			run_pipe_drop(input); /* EPIPE: the program has ended, or has closed its stdin */
			return;
		}
		input->bytes += n;
		input->left -= (size_t)n;
	}
}

void
run_pipe_feed(struct run_input *input)
{
	run_pipe_pass(input);
	if (input->left == 0)
		run_pipe_drop(input);
}

void
run_pipe_drop(struct run_input *input)
{
	fdpass_close(&input->fd, 1);
	input->fd = -1;
	input->left = 0;
}
