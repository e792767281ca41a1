/*
 * generations_state.h - what a parent (generations.c) knows, and the text by which it hands that to
 * the program that it executes in its own place.
 */
#ifndef CELLBLOCK_GENERATIONS_STATE_H
#define CELLBLOCK_GENERATIONS_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum process_state {
	PROCESS_STARTING,
	PROCESS_SERVING, /* it has reported that it is ready */
	PROCESS_LEAVING, /* it was told to end, or ends by itself */
};

struct process {
	pid_t pid;
	int report_fd; /* -1: closed */
	uint32_t generation;
	uint32_t slot;
	enum process_state state;
	uint64_t started_us; /* by clock_us, which an execution does not change */
	uint64_t kill_us;    /* when to kill it; UINT64_MAX: never */
	bool has_moved;      /* it has reported that no new work comes to it */
	bool told_alone;     /* it knows that new work comes to its generation alone */
};

struct parent {
	char *path; /* of the program, as it was started */
	int listen_fd;
	struct process *process;
	size_t count, room;
	uint32_t last;    /* the number of the generation that was started last */
	uint32_t current; /* the generation in service */
	uint32_t current_slot;
	uint32_t current_count; /* its processes */
	bool current_ready;
	bool ever_ready; /* a generation was ready at some time */
};

/*
 * Write the state into the environment, and have execve(2) leave its descriptors open. Returns 0,
 * or -1 with errno.
 */
int generations_state_save(const struct parent *parent);

/*
 * Take the state from the environment. All descriptors that it does not name are closed, but 0, 1
 * and 2. Dies if the text is not of this format.
 */
void generations_state_load(struct parent *parent);

/* Add a process. Dies without memory. */
struct process *generations_state_add(struct parent *parent, const struct process *process);

#endif
