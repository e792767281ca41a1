/* generations_state.c - see generations_state.h. Runs in a parent. */
#define _GNU_SOURCE
#include "generations_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "generations.h"
#include "log.h"

#define LOWEST_FD 3

/*
 *     FORMAT LISTEN_FD LAST CURRENT SLOT COUNT READY EVER_READY PATH
 *     PID REPORT_FD GENERATION SLOT STATE STARTED_US KILL_US MOVED ALONE      a line for each process
 *
 * Later versions may add words at the end of a line, and lines with another first letter.
 */
static int
write_text(const struct parent *parent, FILE *to)
{
	fprintf(to, "%u %d %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %d %d %s\n", GENERATIONS_FORMAT, parent->listen_fd,
	    parent->last, parent->current, parent->current_slot, parent->current_count, parent->current_ready, parent->ever_ready,
	    parent->path);
	for (size_t i = 0; i < parent->count; i++) {
		const struct process *process = &parent->process[i];

		fprintf(to, "%ld %d %" PRIu32 " %" PRIu32 " %d %" PRIu64 " %" PRIu64 " %d %d\n", (long)process->pid,
		    process->report_fd, process->generation, process->slot, (int)process->state, process->started_us,
		    process->kill_us, process->has_moved, process->told_alone);
	}
	return fclose(to);
}

static int
set_close_on_exec(const struct parent *parent, int flag)
{
	/* Standard input is for the processes, too. */
	int result = parent->listen_fd < LOWEST_FD || fcntl(parent->listen_fd, F_SETFD, flag) == 0 ? 0 : -1;

	for (size_t i = 0; i < parent->count; i++) {
		if (parent->process[i].report_fd >= 0 && fcntl(parent->process[i].report_fd, F_SETFD, flag) != 0)
			result = -1;
	}
	return result;
}

int
generations_state_save(const struct parent *parent)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	int result = -1;

	if (to != NULL && write_text(parent, to) == 0 && setenv(GENERATIONS_STATE, text, 1) == 0 &&
	    set_close_on_exec(parent, 0) == 0)
		result = 0;
	free(text);
	return result;
}

struct process *
generations_state_add(struct parent *parent, const struct process *process)
{
	if (parent->count == parent->room) {
		size_t room = parent->room == 0 ? 16 : parent->room * 2;
		struct process *more = reallocarray(parent->process, room, sizeof *more);

		if (more == NULL)
			die("out of memory");
		parent->process = more;
		parent->room = room;
	}
	parent->process[parent->count] = *process;
	return &parent->process[parent->count++];
}

static bool
is_named(const struct parent *parent, int fd)
{
	for (size_t i = 0; i < parent->count; i++) {
		if (parent->process[i].report_fd == fd)
			return true;
	}
	return parent->listen_fd == fd;
}

static void
close_others(const struct parent *parent)
{
	int highest = parent->listen_fd;

	for (size_t i = 0; i < parent->count; i++)
		highest = parent->process[i].report_fd > highest ? parent->process[i].report_fd : highest;
	for (int fd = LOWEST_FD; fd <= highest; fd++) {
		if (!is_named(parent, fd))
			close(fd);
	}
	syscall(SYS_close_range, (unsigned)(highest < LOWEST_FD ? LOWEST_FD : highest + 1), ~0u, 0u);
}

/* Returns whether the line is a process, and adds it. */
static bool
read_process(struct parent *parent, const char *line)
{
	struct process process;
	long pid;
	/* An older program wrote two words less, and its processes do not know the signal. */
	int state, has_moved = 0, told_alone = 1;

	if (sscanf(line, "%ld %d %" SCNu32 " %" SCNu32 " %d %" SCNu64 " %" SCNu64 " %d %d", &pid, &process.report_fd,
	        &process.generation, &process.slot, &state, &process.started_us, &process.kill_us, &has_moved, &told_alone) < 7 ||
	    pid < 2 || state < PROCESS_STARTING || state > PROCESS_LEAVING)
		return false;
	process.pid = (pid_t)pid;
	process.state = (enum process_state)state;
	process.has_moved = has_moved != 0;
	process.told_alone = told_alone != 0;
	generations_state_add(parent, &process);
	return true;
}

void
generations_state_load(struct parent *parent)
{
	char *text = strdup(getenv(GENERATIONS_STATE)), *rest = text, *line;
	unsigned format;
	int ready, ever_ready, at = 0;

	*parent = (struct parent){ .listen_fd = -1 };
	if (text == NULL)
		die("out of memory");
	unsetenv(GENERATIONS_STATE);
	line = strsep(&rest, "\n");
	if (sscanf(line, "%u %d %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %d %d %n", &format, &parent->listen_fd,
	        &parent->last, &parent->current, &parent->current_slot, &parent->current_count, &ready, &ever_ready, &at) != 8 ||
	    at == 0 || format != GENERATIONS_FORMAT || (parent->path = strdup(line + at)) == NULL)
		die("the state of a parent was not written by a program that fits this one");
	parent->current_ready = ready != 0;
	parent->ever_ready = ever_ready != 0;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] >= '0' && line[0] <= '9' && !read_process(parent, line))
			die("the state of a parent has a process that cannot be read");
	}
	free(text);
	close_others(parent);
	if (set_close_on_exec(parent, FD_CLOEXEC) != 0)
		die("take over the descriptors of a parent: %s", strerror(errno));
}
