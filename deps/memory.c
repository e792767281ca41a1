/* memory.c - see memory.h. */
#define _GNU_SOURCE
#include "memory.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* A process of the host, and whether it is in the tree. */
struct process {
	pid_t pid, parent;
	bool is_in;
};

/* Read the head of a file of /proc/PID. Returns whether it is there. */
static bool
read_head(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	FILE *file;
	size_t n = 0;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "re");
	if (file != NULL) {
		n = fread(text, 1, size - 1, file);
		fclose(file);
	}
	text[n] = '\0';
	return n > 0;
}

/* The parent of a process, or 0. Its name, which is before that, may contain anything. */
static pid_t
parent_of(pid_t pid)
{
	char text[512], *end;
	int parent;

	if (!read_head(pid, "stat", text, sizeof text) || (end = strrchr(text, ')')) == NULL ||
	    sscanf(end, ") %*c %d", &parent) != 1)
		return 0;
	return (pid_t)parent;
}

static uint64_t
memory_of(pid_t pid)
{
	char text[256];
	uint64_t resident, of_files;

	if (!read_head(pid, "statm", text, sizeof text) || sscanf(text, "%*u %" SCNu64 " %" SCNu64, &resident, &of_files) != 2)
		return 0;
	return resident < of_files ? 0 : (resident - of_files) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* All processes. Returns a list of *count for free(). */
static struct process *
list_processes(size_t *count)
{
	DIR *proc = opendir("/proc");
	struct process *list = NULL;
	struct dirent *entry;
	size_t room = 0;

	*count = 0;
	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0)
			continue;
		if (*count == room) {
			room = room == 0 ? 256 : 2 * room;
			list = reallocarray(list, room, sizeof *list);
			if (list == NULL)
				die("out of memory");
		}
		list[(*count)++] = (struct process){ .pid = pid, .parent = parent_of(pid) };
	}
	if (proc != NULL)
		closedir(proc);
	return list;
}

/* Take in the children of those that are in. Returns whether there were any. */
static bool
take_in_children(struct process *list, size_t count, pid_t root)
{
	bool found = false;

	for (size_t i = 0; i < count; i++) {
		bool is_child = list[i].pid == root;

		for (size_t j = 0; j < count && !list[i].is_in && !is_child; j++)
			is_child = list[j].is_in && list[j].pid == list[i].parent;
		if (is_child && !list[i].is_in)
			list[i].is_in = found = true;
	}
	return found;
}

uint64_t
memory_of_tree(pid_t root)
{
	size_t count;
	struct process *list = list_processes(&count);
	uint64_t sum = 0;

	while (take_in_children(list, count, root))
		continue;
	for (size_t i = 0; i < count; i++) {
		if (list[i].is_in)
			sum += memory_of(list[i].pid);
	}
	free(list);
	return sum;
}
