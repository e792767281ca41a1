/*
 * walls.h - the layers around a zygote, around its guests, and around a run: three tables of steps,
 * each in the order in which the kernel needs them.
 *
 * A step has a name, under which its failure is reported to the broker. t/steps.t reads the names
 * in walls.c and asserts that each step is made to fail in a test.
 */
#ifndef CELLBLOCK_WALLS_H
#define CELLBLOCK_WALLS_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "messages.h"

/*
 * The control socket of a guest. Before that, in its zygote, the number is ZYGOTE_REQUESTS_FD. So
 * no descriptor of an interpreter has it.
 */
#define GUEST_CONTROL_FD ZYGOTE_REQUESTS_FD
#define GUEST_OUTPUT_FD 5 /* walls_around_run puts the compiler's output here, if there is one */

/* Places of the descriptors of a run. Behind them is the compiler's output, and then the pack. */
enum {
	RUN_JOB,
	RUN_STDOUT,
	RUN_STDERR,
	RUN_STDIN, /* if there is one */
	RUN_FDS_MAX = RUN_STDIN + 3
};

/*
 * The steps' input, and their output where it is marked so. A table uses its own part and `setup`.
 */
struct walls {
	const struct zygote_setup *setup;

	/* Around the zygote. */
	struct sock_fprog base_filter;
	bool has_threads; /* the interpreter's other threads are accepted; see zygote_wall_in */
	int listener_fd;  /* out: the base filter's; -1: none */

	/*
	 * The bytes that RLIMIT_DATA counts of an interpreter whose forks are its guests. A run's
	 * limit is for those that its program adds.
	 */
	uint64_t data_bytes;

	/* Around a guest: the request that its zygote got. */
	const struct guest_request *request;
	int place_fd;             /* the init's pidfd, or, at level chroot, the cell's root directory */
	const int *namespace_fds; /* request->namespaces of them */
	const int *cgroup_fds;    /* files to join by */
	size_t cgroup_count;
	int box_fd; /* out: the working directory (O_PATH) */

	/* Around its run. */
	struct sock_fprog last_filter;
	const struct guest_start *start;
	const int *run_fds; /* that came with `start`, but for the pack */
	size_t run_fd_count;
	const int *kept_fds; /* stay open, in ascending order */
	size_t kept_count;
	bool has_interpreter; /* which has more descriptors that stay open */
};

/*
 * Put up all layers of a table. Each returns NULL, or the name of the step that failed, with errno.
 * Then no later step was carried out.
 */

/* Around this zygote. Its guests inherit all of it. */
const char *walls_around_zygote(struct walls *walls);

/* Around this guest: into its cell, and without any privilege. */
const char *walls_around_guest(struct walls *walls);

/*
 * Around the run that this guest was given. The last step loads the filter that denies the marked
 * system calls (mark.h).
 */
const char *walls_around_run(struct walls *walls);

#endif
