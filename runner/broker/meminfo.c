/* meminfo.c - see meminfo.h. */
#define _GNU_SOURCE
#include "broker/meminfo.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "paths.h"

/* Those that programs look up. The run has used nothing yet. */
static const struct {
	const char *name;
	bool is_all; /* the memory of the run; else nothing */
} rows[] = {
	{ "MemTotal", true },
	{ "MemFree", true },
	{ "MemAvailable", true },
	{ "Buffers", false },
	{ "Cached", false },
	{ "SwapCached", false },
	{ "Active", false },
	{ "Inactive", false },
	{ "SwapTotal", false },
	{ "SwapFree", false },
	{ "Dirty", false },
	{ "Writeback", false },
	{ "AnonPages", false },
	{ "Mapped", false },
	{ "Shmem", false },
	{ "Slab", false },
	{ "SReclaimable", false },
	{ "SUnreclaim", false },
	{ "CommitLimit", true },
	{ "Committed_AS", false },
};

int
meminfo_write(int directory_fd, uint32_t number, uint64_t bytes)
{
	char name[32], text[1024];
	size_t size = 0;
	ssize_t n;
	int fd;

	/* Each line has the same length as ever, so the text replaces the earlier one. */
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		size += (size_t)snprintf(text + size, sizeof text - size, "%s:%*llu kB\n", rows[i].name,
		    28 - (int)strlen(rows[i].name), rows[i].is_all ? (unsigned long long)bytes / 1024 : 0ull);
	snprintf(name, sizeof name, PROC_FILE_MEMINFO, (unsigned)number);
	fd = openat(directory_fd, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = pwrite(fd, text, size, 0);
	close(fd);
	return n == (ssize_t)size ? 0 : -1;
}
