/* stall.c - see stall.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/stall.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "clock.h"

#define TEXT_BYTES 1024     /* of a file: stat has some 400, and `children` 8 for a process at most */
#define STATE_RUNNABLE 'R'  /* the third field of stat */
#define START_TIME_FIELD 22 /* of stat, as proc(5) counts */
#define FIRST_AFTER_NAME 3  /* the field behind the name, which may hold anything */
#define NAME_BYTES 64

/* A walk over the threads of a run. */
struct walk {
	int proc_fd;
	struct busiest busiest;
	unsigned threads;
	pid_t process[STALL_THREADS]; /* found so far; each has a thread at least */
	size_t found;
};

/* Read a small file as a text. Returns whether it could be read. */
static bool
read_text(int directory_fd, const char *name, char text[TEXT_BYTES])
{
	int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_BYTES - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* How long a thread has run or waited, in us. */
static uint64_t
busy_us(int tasks_fd, const char *thread)
{
	char name[NAME_BYTES], text[TEXT_BYTES], *end;
	uint64_t ran_ns;

	snprintf(name, sizeof name, "%.16s/schedstat", thread);
	if (!read_text(tasks_fd, name, text))
		return 0;
	ran_ns = strtoull(text, &end, 10);
	return (ran_ns + strtoull(end, NULL, 10)) / 1000;
}

/* Whether a thread runs, or waits for a processor. */
static bool
is_runnable(int tasks_fd, const char *thread)
{
	char name[NAME_BYTES], text[TEXT_BYTES];
	const char *at;

	snprintf(name, sizeof name, "%.16s/stat", thread);
	return read_text(tasks_fd, name, text) && (at = strrchr(text, ')')) != NULL && at[1] == ' ' && at[2] == STATE_RUNNABLE;
}

/* The children that a thread has begun. A kernel may have been built without the file. */
static void
find_children(struct walk *walk, int tasks_fd, const char *thread)
{
	char name[NAME_BYTES], text[TEXT_BYTES], *at = text, *end;

	snprintf(name, sizeof name, "%.16s/children", thread);
	if (!read_text(tasks_fd, name, text))
		return;
	for (long pid; walk->found < STALL_THREADS && (pid = strtol(at, &end, 10)) > 0; at = end)
		walk->process[walk->found++] = (pid_t)pid;
}

/* All threads of a process. `before_us`: of their times, what is none of the run's. */
static void
look_at(struct walk *walk, pid_t process, uint64_t before_us, bool has_children)
{
	char name[NAME_BYTES];
	struct dirent *entry;
	DIR *tasks;
	int fd;

	snprintf(name, sizeof name, "%d/task", (int)process);
	fd = openat(walk->proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tasks = fd < 0 ? NULL : fdopendir(fd);
	if (tasks == NULL && fd >= 0)
		close(fd);
	while (tasks != NULL && walk->threads < STALL_THREADS && (entry = readdir(tasks)) != NULL) {
		uint64_t us;

		if (entry->d_name[0] == '.')
			continue;
		walk->threads++;
		us = busy_us(fd, entry->d_name);
		us = us > before_us ? us - before_us : 0;
		if (us > walk->busiest.us)
			walk->busiest = (struct busiest){ us, is_runnable(fd, entry->d_name) };
		if (has_children)
			find_children(walk, fd, entry->d_name);
	}
	if (tasks != NULL)
		closedir(tasks);
}

static uint64_t
boot_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* How long ago a process was made, in us, rounded up to a tick. Returns 0 if that is not known. */
static uint64_t
age_us(int proc_fd, pid_t process)
{
	uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK), made_us, now_us;
	char name[NAME_BYTES], text[TEXT_BYTES];
	const char *at;

	snprintf(name, sizeof name, "%d/stat", (int)process);
	if (!read_text(proc_fd, name, text) || (at = strrchr(text, ')')) == NULL)
		return 0;
	for (int field = FIRST_AFTER_NAME - 1; field < START_TIME_FIELD && at != NULL; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		return 0;
	made_us = strtoull(at, NULL, 10) * tick_us;
	now_us = boot_us();
	return now_us > made_us ? now_us - made_us : 0;
}

/*
 * The longest time for which a guest can have run or waited before it was armed: since then it has
 * slept until its run came.
 */
static uint64_t
before_run_us(const struct cell *cell, uint64_t age)
{
	uint64_t since_armed_us = clock_us() - cell->armed_us;
	uint64_t alive_us = age > since_armed_us ? age - since_armed_us : 0;

	return alive_us < cell->arming_us ? alive_us : cell->arming_us;
}

struct busiest
stall_find_busiest(const struct broker *broker, const struct cell *cell)
{
	struct walk walk = { .proc_fd = broker->tasks_fd };
	uint64_t age = broker->tasks_fd < 0 ? 0 : age_us(broker->tasks_fd, cell->guest_pid);
	bool has_children = cell->limits.processes > 1;

	if (age == 0)
		return walk.busiest;
	look_at(&walk, cell->guest_pid, before_run_us(cell, age), has_children);
	for (size_t i = 0; i < walk.found && walk.threads < STALL_THREADS; i++)
		look_at(&walk, walk.process[i], 0, true);
	return walk.busiest;
}

uint64_t
stall_of(uint64_t busiest_us, uint64_t cpu_us, uint32_t cpu_percent)
{
	uint64_t own_us = cpu_percent > 0 && cpu_percent < 100 ? cpu_us * 100 / cpu_percent : cpu_us;

	return busiest_us > own_us ? busiest_us - own_us : 0;
}
